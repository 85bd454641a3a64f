"""Import paths: what a declaration names, ``package.module.attr``.

A declaration is checked when the code location loads, so nothing here may import what it names:
a class path is looked up in the package's source instead.
"""

import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Annotated, Any

from pydantic import AfterValidator

from mlops_assets.lifecycle.declaration import did_you_mean
from mlops_assets.lifecycle.errors import DeclarationError


@lru_cache(maxsize=1024)
def check_import_path(path: str) -> str:
    """Check that ``package.module.attr`` exists, without importing the package.

    The folders are walked and the module's source is parsed. Only a module that decides its
    names at run time (star import, ``__getattr__``, compiled code) is really imported.

    Raises
    ------
    ValueError
        Naming the part that does not exist, and the nearest name that does.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{path!r} is not a dotted path like package.module.name")
    spec = _top_spec(parts[0], path)
    for depth, part in enumerate(parts[1:], start=1):
        child = _submodule(spec, part)
        if child is None:
            return _check_attributes(path, spec, parts[depth:])
        spec = child
    return path


def source_file(path: str) -> str | None:
    """The file that holds what a checked import path names; None where there is no source."""
    parts = path.split(".")
    spec = _top_spec(parts[0], path)
    for part in parts[1:]:
        child = _submodule(spec, part)
        if child is None:
            break
        spec = child
    return spec.origin


def _top_spec(name: str, path: str) -> ModuleSpec:
    spec = importlib.util.find_spec(name)
    if spec is None:
        known = [module.name for module in pkgutil.iter_modules()]
        raise ValueError(f"{path!r}: no package {name!r}{did_you_mean(name, known)}")
    return spec


def _submodule(spec: ModuleSpec, name: str) -> ModuleSpec | None:
    if spec.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(f"{spec.name}.{name}", spec.submodule_search_locations)


def _check_attributes(path: str, spec: ModuleSpec, attributes: list[str]) -> str:
    names = _module_names(spec, path)
    if names is not None and attributes[0] in names and len(attributes) == 1:
        return path
    if names is None or attributes[0] in names or names & _DECIDED_AT_RUN_TIME:
        return _really_import(path)
    places = spec.submodule_search_locations or []
    known = names | {module.name for module in pkgutil.iter_modules(places)}
    raise ValueError(
        f"{path!r}: {spec.name!r} has no attribute or module {attributes[0]!r}"
        f"{did_you_mean(attributes[0], sorted(known))}"
    )


def _really_import(path: str) -> str:
    try:
        load_object(path)
    except DeclarationError as error:
        raise ValueError(str(error)) from error
    return path


_DECIDED_AT_RUN_TIME = {"*", "__getattr__"}


def _module_names(spec: ModuleSpec, path: str) -> set[str] | None:
    """Names that the module's source defines; None when it has no source to read."""
    if spec.submodule_search_locations is not None and spec.origin is None:
        return set()  # a namespace package: a folder, which holds modules and nothing else
    if not (spec.origin and spec.origin.endswith(".py") and os.path.isfile(spec.origin)):
        return None
    with open(spec.origin, "rb") as file:
        source = file.read()
    try:
        tree = ast.parse(source, spec.origin)
    except SyntaxError as error:
        raise ValueError(f"{path!r}: {spec.origin}, line {error.lineno}: {error.msg}") from error
    return set(_defined(tree.body))


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (name for target in node.targets for name in _targets(target))
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _targets(node.target)
        else:
            yield from _defined_in_block(node)


def _defined_in_block(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.For):
        yield from _targets(node.target)
    # What is imported for type checkers only does not exist at run time.
    skip_body = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for block in ("orelse", "finalbody") if skip_body else ("body", "orelse", "finalbody"):
        yield from _defined(getattr(node, block, []))
    for handler in getattr(node, "handlers", []):
        yield from _defined(handler.body)


def _targets(target: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


ImportPath = Annotated[str, AfterValidator(check_import_path)]


def load_object(path: str) -> Any:
    """Import the object a dotted path names.

    Raises
    ------
    DeclarationError
        Naming the path, and chained to the cause when the module itself fails to import.
    """
    parts = path.split(".")
    try:
        for cut in range(max(len(parts) - 1, 1), 0, -1):
            module_name = ".".join(parts[:cut])
            if _import(module_name):
                return _walk(sys.modules[module_name], parts[cut:], path)
    except DeclarationError:
        raise
    except Exception as error:  # importing runs the user's code, which may raise anything
        cause = f"{type(error).__name__}: {error}"
        raise DeclarationError(f"cannot import {path!r}: {cause}") from error
    raise DeclarationError(f"cannot import {path!r}: no package {parts[0]!r}")


def _import(module_name: str) -> bool:
    """Import a module; False when there is no such module (not when one it imports is missing)."""
    try:
        importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            return False
        raise
    return True


def _walk(found: Any, names: list[str], path: str) -> Any:
    for name in names:
        if not hasattr(found, name) and hasattr(found, "__path__"):
            _import(f"{found.__name__}.{name}")  # sets the attribute, if there is one
        if not hasattr(found, name):
            owner = getattr(found, "__name__", repr(found))
            raise DeclarationError(
                f"cannot import {path!r}: {owner!r} has no attribute or module {name!r}"
                f"{did_you_mean(name, dir(found))}"
            )
        found = getattr(found, name)
    return found
