"""Code versions: what Dagster compares to tell what is stale, without importing the code."""

import ast
from functools import cache
from pathlib import Path

from mlops_assets import __version__
from mlops_assets.assets import keys
from mlops_assets.lifecycle.fingerprint import digest_of, file_digest
from mlops_assets.lifecycle.import_paths import source_file
from mlops_assets.lifecycle.spec import ModelSpec


def code_versions(spec: ModelSpec) -> dict[str, str]:
    """A version for each asset: the package's, the declaration's part, and the user's files."""
    source_function = getattr(spec.source, "function", None)
    step = spec.feature_step
    parts: dict[str, list] = {
        keys.RAW_DATA: [spec.source, _contract(spec.contract), _file(source_function)],
        keys.VALIDATED_FEATURES: [
            step,
            _contract(spec.feature_contract),
            _file(step.function if step else None),
        ],
        keys.TRAINED_MODEL: [
            spec.estimator,
            spec.task,
            spec.columns,
            spec.training,
            spec.serving,
            _file(spec.estimator.class_),
        ],
        keys.EVALUATION_REPORT: [spec.gate, spec.task, spec.columns],
        keys.DEPLOYMENT: [spec.deployment],
        keys.LIVE_PREDICTIONS: [
            spec.columns,
            spec.labels,
            _file(getattr(spec.labels, "function", None)),
        ],
        keys.DRIFT_REPORT: [spec.monitoring],
        keys.PERFORMANCE_REPORT: [spec.monitoring, spec.decay_metric],
        keys.ADVICE: [spec.monitoring, spec.task, spec.columns],
    }
    return {asset: digest_of(__version__, *part)[:12] for asset, part in parts.items()}


def _contract(contract) -> list:
    return [contract, _file(contract)] if isinstance(contract, str) else [contract]


def _file(import_path: str | None) -> list[str]:
    """Digests of the file that holds the code, and of those beside it that it imports."""
    origin = import_path and source_file(import_path)
    if not origin:
        return []
    return [file_digest(file) for file in sorted(_with_neighbours(Path(origin)))]


@cache
def _with_neighbours(file: Path) -> frozenset[Path]:
    if "site-packages" in file.parts:
        return frozenset({file})  # a library's version is in the environment digest
    found, left = {file}, [file]
    while left:
        for name in _imported_modules(left.pop()):
            neighbour = file.with_name(f"{name}.py")
            if neighbour not in found and neighbour.is_file():
                found.add(neighbour)
                left.append(neighbour)
    return frozenset(found)


def _imported_modules(file: Path) -> set[str]:
    """Last names of the modules that a file's import statements speak of."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            named |= {(node.module or "").rpartition(".")[2], *(n.name for n in node.names)}
        elif isinstance(node, ast.Import):
            named |= {n.name.rpartition(".")[2] for n in node.names}
    return named
