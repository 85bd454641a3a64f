"""``mlops-assets key``: a new API key for the REST server."""

from mlops_assets.lifecycle.errors import DeclarationError

ACTIONS = ("predict", "feedback", "metrics", "probe")


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("key", help="make an API key for the REST server")
    parser.add_argument("name", help="who will use it")
    parser.add_argument("--models", nargs="+", default=["*"], help="models it may ask; * is all")
    parser.add_argument(
        "--actions", nargs="+", choices=ACTIONS, default=["predict", "feedback"],
        help="what it may do (metrics is for Prometheus, probe for the platform's own questions)",
    )  # fmt: skip
    parser.set_defaults(command=run)


def run(options) -> int:
    """Print the key, which is stored nowhere, and the entry for the file of keys."""
    import yaml

    from mlops_assets.serving.keys import new_key

    if not 0 < len(options.name) <= 100:
        raise DeclarationError("the key's name has 1 to 100 characters")
    secret, key = new_key(options.name, options.models, options.actions)
    print(f"The key, shown this once; send it as `Authorization: Bearer {secret}`")
    print("Its entry in the file that MLOPS_API_KEYS names; the server reads it when it starts:\n")
    print(yaml.safe_dump([key.model_dump()], sort_keys=False), end="")
    return 0
