"""Where a version's files may lie: below what the operator set, or its experiment's own place.

Whoever can write to the registry can register any address. Asking it would already be the attack:
a metadata service, an internal page, a device. So an address is judged before it is asked.
"""

import posixpath
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from mlops_assets.lifecycle.errors import ArtifactError
from mlops_assets.lifecycle.settings import Settings

# Never through an experiment, which is made by whoever can write to the tracking server.
BY_OPERATOR_ONLY = {"", "file", "ftp", "http", "https", "sftp"}


def check(source: str, settings: Settings, experiment: Callable[[], str | None]) -> None:
    """Refuse an address that is not below ``MLOPS_HOME``, ``MLOPS_ARTIFACT_URL`` or an experiment.

    Parameters
    ----------
    experiment : callable
        Gives the artifact location of the experiment that has the model's name; asked where the
        operator's own roots do not settle it.

    Raises
    ------
    ArtifactError
        Naming the address.
    """
    place = _place(source)
    if place is not None:
        own = [settings.home.as_uri(), settings.artifact_url]
        if any(root and _below(place, _place(root)) for root in own):
            return
        theirs = experiment()
        if theirs and _harmless(theirs, settings) and _below(place, _place(theirs)):
            return
    raise ArtifactError(
        f"its files are said to lie at {source[:200]!r}, which is not where versions are kept "
        "(MLOPS_HOME, MLOPS_ARTIFACT_URL, or the model's own experiment)"
    )


def local_path(source: str) -> Path | None:
    """The folder an address means on this machine; None for one elsewhere."""
    parts = urlsplit(source)
    if parts.scheme == "":
        return Path(source)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _harmless(experiment: str, settings: Settings) -> bool:
    parts = urlsplit(experiment)
    if parts.scheme == "mlflow-artifacts":  # served by the host in it, over HTTP
        return parts.netloc in {"", urlsplit(settings.tracking_uri).netloc}
    return parts.scheme not in BY_OPERATOR_ONLY


def _place(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and normalised path; None where an address means more than those."""
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username or "\\" in url:
        return None
    local = local_path(url)
    if local is None:
        path = posixpath.normpath("/" + unquote(parts.path).lstrip("/"))
        return parts.scheme, parts.netloc, path
    if parts.netloc not in {"", "localhost"} or not local.is_absolute():
        return None
    # Links are followed here, so that none leads out.
    return "file", "", local.resolve().as_posix()


def _below(place: tuple[str, str, str], root: tuple[str, str, str] | None) -> bool:
    if root is None or place[:2] != root[:2]:
        return False
    return place[2].startswith(root[2].rstrip("/") + "/")
