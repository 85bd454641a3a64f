"""``mlops-assets serve``: the REST server for every model with a champion."""

from mlops_assets.lifecycle.settings import Settings


def add_to(commands) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser("serve", help="answer predictions over HTTP")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="loopback only, unless MLOPS_API_KEYS names a file of keys",
    )
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes that answer; one process follows the registry for all of them",
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Serve until stopped."""
    from mlops_assets.serving.server import serve

    serve(Settings.from_environment(), options.host, options.port, options.workers)
    return 0
