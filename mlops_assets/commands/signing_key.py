"""``mlops-assets signing-key``: the key pair that versions are signed with and verified by."""

from pathlib import Path


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("signing-key", help="make a key pair to sign versions with")
    parser.add_argument(
        "file", type=Path, help="for the private key; the public one gets .pub appended"
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Make the pair, unless there is one."""
    from mlops_assets.lifecycle.errors import ArtifactError
    from mlops_assets.lifecycle.signing_keys import make_pair

    if options.file.exists():
        raise ArtifactError(f"{options.file} exists; a key is never overwritten")
    public = make_pair(options.file)
    print(f"MLOPS_SIGNING_KEY={options.file.absolute()}  (where models are trained, nowhere else)")
    print(f"MLOPS_VERIFY_KEYS={public.absolute()}  (wherever versions are judged or served)")
    return 0
