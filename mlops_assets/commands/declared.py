"""The declaration that a command names."""

from pathlib import Path

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.spec import ModelSpec, load_specs


def declared(defs: Path, name: str) -> tuple[ModelSpec, Path]:
    """A model's declaration, and the folder of its file.

    Raises
    ------
    DeclarationError
        When no model of that name is declared.
    """
    specs = load_specs(defs)
    if name not in specs:
        raise DeclarationError(f"no model {name!r}; declared: {', '.join(specs)}")
    return specs[name]
