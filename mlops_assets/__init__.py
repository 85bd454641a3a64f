"""mlops_assets: declare a model in one file, get its whole life as Dagster assets."""

from mlops_assets.lifecycle.settings import quiet
from mlops_assets.version import __version__

__all__ = ["ModelLifecycle", "__version__"]

quiet()


def __getattr__(name):
    # The REST server and the CLI import this package too, and have no use for Dagster.
    if name == "ModelLifecycle":
        from mlops_assets.components.model_lifecycle import ModelLifecycle

        return ModelLifecycle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
