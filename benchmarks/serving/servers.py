"""The servers that are compared: how each is started, and asked what in which form.

A peer whose libraries don't go with the platform's lives in a virtual environment of its own, made
by ``--make-peers`` from ``benchmarks/peers/<name>.txt``.
"""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from serving.worlds import World

PEERS = Path(__file__).parent.parent / "peers"
OURS, CONTROL, UNLOGGED = "ours", "ours again", "ours, log drops"


@dataclass(frozen=True)
class Server:
    """One server.

    Parameters
    ----------
    name : str
    arguments : tuple of str
        After the interpreter; ``{model}`` is the folder of the model, ``{port}``, ``{workers}``.
    paths : dict of str to str
        By form of `worlds.FORMS`: the address that takes it.
    ready : str
        An address that answers 200 once the server can predict.
    module : str or None
        What has to be importable.
    venv : str or None
        The virtual environment of its own.
    """

    name: str
    arguments: tuple[str, ...]
    paths: dict[str, str]
    ready: str
    module: str | None = None
    venv: str | None = None

    def python(self, venvs: Path | None) -> Path | None:
        """Its interpreter, or None where the server is not installed."""
        python = Path(sys.executable)
        if self.venv:
            if venvs is None:
                return None
            python = venvs.absolute() / self.venv / "bin" / "python"
            if not python.exists():
                return None
        find = f"import importlib.util as u, sys; sys.exit(u.find_spec({self.module!r}) is None)"
        if self.module and subprocess.run([python, "-c", find], check=False).returncode:
            return None
        return python

    def command(self, python: Path, world: World, port: int, workers: int) -> list[str]:
        """What starts it."""
        values = {"model": world.folder, "port": port, "workers": workers}
        return [str(python), *(argument.format(**values) for argument in self.arguments)]


def _script(name: str) -> str:
    return str(PEERS / f"{name}.py")


_OUR_PATHS = {
    "records": "/predict/{name}",
    "tensor": "/v2/models/{name}/infer",
    "split": "/v2/models/{name}/invocations",
}
_SERVE = ("-m", "mlops_assets.cli", "serve", "--port", "{port}")
_READY = "/v2/health/ready"
_BENTO = (_script("bentoml_peer"), "{model}", "{port}", "{workers}")

SERVERS = {
    server.name: server
    for server in (
        Server(OURS, _SERVE, _OUR_PATHS, _READY),
        Server(CONTROL, _SERVE, _OUR_PATHS, _READY),
        Server(UNLOGGED, (_script("unlogged"), "{port}"), _OUR_PATHS, _READY),
        Server("constant", (_script("constant"), "{port}", "{workers}"),
               {"records": "/", "tensor": "/"}, "/", "uvicorn"),
        Server("plain ASGI", (_script("plain"), "{model}", "{port}", "{workers}"),
               {"records": "/predict", "tensor": "/infer"}, "/", "uvicorn"),
        Server("mlflow models serve",
               ("-m", "mlflow", "models", "serve", "-m", "{model}", "--env-manager", "local",
                "--port", "{port}", "--workers", "{workers}"),
               {"split": "/invocations"}, "/ping", "mlflow"),
        Server("MLServer", (_script("mlserver_peer"), "{model}", "{port}", "{workers}"),
               {"tensor": "/v2/models/model/infer"}, "/v2/models/model/ready", "mlserver",
               "mlserver"),
        Server("BentoML", (*_BENTO, "single"), {"arrays": "/predict"}, "/readyz", "bentoml",
               "bentoml"),
        Server("BentoML, batching", (*_BENTO, "batching"), {"arrays": "/predict"}, "/readyz",
               "bentoml", "bentoml"),
        Server("LitServe", (_script("litserve_peer"), "{model}", "{port}", "{workers}"),
               {"arrays": "/predict"}, "/health", "litserve", "litserve"),
    )
}  # fmt: skip


def make_venvs(folder: Path) -> None:
    """Make the peers' virtual environments below a folder, or bring them up to date."""
    for name in sorted({server.venv for server in SERVERS.values() if server.venv}):
        place = folder / name
        venv.create(place, with_pip=True)
        pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--upgrade"]
        # The resolver that comes with some Pythons is too old for these libraries.
        subprocess.run([*pip, "pip"], check=True)
        subprocess.run([*pip, "-r", PEERS / f"{name}.txt"], check=True)
        print(f"{name}: installed in {place}", flush=True)
