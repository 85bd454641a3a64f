"""Where frames and reports live: Parquet and JSON under any fsspec URL."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from mlops_assets.lifecycle import reports
from mlops_assets.lifecycle.errors import EvidenceError

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath


class _StoredByWindow(dg.ConfigurableIOManager):
    """One file a window: ``<base_url>/<model>/<asset>/<window>.<extension>``.

    A step over a range of windows hands over a mapping from window to value, and a downstream
    step that reads several windows gets one.
    """

    base_url: str
    _base: Any = PrivateAttr(None)

    extension: str = ""

    def path(self, key: dg.AssetKey, window: str | None) -> "UPath":
        """The file of an asset's window."""
        from upath import UPath

        if self._base is None:
            self._base = UPath(self.base_url)
        return self._base.joinpath(*key.path, f"{window or 'all'}{self.extension}")

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        windows = context.asset_partition_keys if context.has_asset_partitions else [None]
        values = obj if isinstance(obj, dict) else {windows[0]: obj}
        if set(values) != set(windows):
            raise ValueError(f"{context.asset_key}: values for {set(values)}, windows {windows}")
        for window, value in values.items():
            self.write(self.path(context.asset_key, window), value)
        newest = self.path(context.asset_key, max(values, key=lambda window: window or ""))
        context.add_output_metadata({"path": dg.MetadataValue.path(str(newest))})

    def load_input(self, context: dg.InputContext) -> Any:
        if not context.has_asset_partitions:
            return self.load(context.asset_key, None)
        windows = context.asset_partition_keys
        many = (context.definition_metadata or {}).get("windows") == "many"
        if len(windows) == 1 and not many:
            return self.load(context.asset_key, windows[0])
        return {window: self.load(context.asset_key, window) for window in windows}

    def load(self, key: dg.AssetKey, window: str | None) -> Any:
        """One window of an asset.

        Raises
        ------
        EvidenceError
            Naming the asset and the window that was never materialized.
        """
        path = self.path(key, window)
        if not path.exists():
            raise EvidenceError(
                f"{key.to_user_string()}, window {window or 'all'}, was never materialized "
                f"(no file {path}); `mlops-assets backfill {key.path[0]}` fills what is missing"
            )
        return self.read(path)

    def exists(self, key: dg.AssetKey, window: str | None) -> bool:
        """Whether an asset's window is stored."""
        return self.path(key, window).exists()

    def newest(self, model: str, asset: str) -> tuple[str, Any] | None:
        """The newest stored window of an asset and its value; None when there is none."""
        folder = self.path(dg.AssetKey([model, asset]), None).parent
        if not folder.exists():
            return None
        windows = sorted(p.stem for p in folder.iterdir() if p.suffix == self.extension)
        windows = [w for w in windows if not w.startswith(".")]
        if not windows:
            return None
        return windows[-1], self.load(dg.AssetKey([model, asset]), windows[-1])

    def write(self, path: "UPath", value: Any) -> None:
        raise NotImplementedError

    def read(self, path: "UPath") -> Any:
        raise NotImplementedError


class FrameIOManager(_StoredByWindow):
    """DataFrames as Parquet, with the fingerprint of what they were made from in the file."""

    extension: str = ".parquet"

    def write(self, path: "UPath", value: "pd.DataFrame") -> None:
        with_temporary(path, lambda file: value.to_parquet(file, index=False))

    def count(self, key: dg.AssetKey, window: str | None) -> int:
        """Rows of a stored window, from the file's footer alone."""
        from pyarrow import parquet

        with self.path(key, window).open("rb") as file:
            return parquet.read_metadata(file).num_rows

    def columns(self, key: dg.AssetKey, window: str | None, names: Sequence[str]) -> "pd.DataFrame":
        """Some columns of a stored window; the others are not read."""
        import pandas as pd

        with self.path(key, window).open("rb") as file:
            return pd.read_parquet(file, columns=list(names))

    def null_shares(self, key: dg.AssetKey, window: str | None) -> dict[str, float]:
        """The share of nulls in each column of a stored window, from the footer alone."""
        from pyarrow import parquet

        with self.path(key, window).open("rb") as file:
            footer = parquet.read_metadata(file)
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        nulls: dict[str, int] = {}
        for column in (g.column(c) for g in groups for c in range(g.num_columns)):
            name = column.path_in_schema.split(".")[0]
            nulls[name] = nulls.get(name, 0) + column.statistics.null_count
        return {name: count / max(footer.num_rows, 1) for name, count in nulls.items()}

    def read(self, path: "UPath") -> "pd.DataFrame":
        import pandas as pd

        with path.open("rb") as file:
            return pd.read_parquet(file)


class ReportIOManager(_StoredByWindow):
    """Reports as JSON; the file names its type, and reading validates it."""

    extension: str = ".json"

    def write(self, path: "UPath", value: reports.Report) -> None:
        text = f'{{"type": "{type(value).__name__}", "report": {value.model_dump_json(indent=1)}}}'
        with_temporary(path, lambda file: file.write(text.encode()))

    def read(self, path: "UPath") -> reports.Report:
        import json

        stored = json.loads(path.read_text("utf-8"))
        return getattr(reports, stored["type"]).model_validate(stored["report"])

    def all_of(self, model: str, asset: str) -> list[reports.Report]:
        """Every stored report of an asset, oldest window first."""
        folder = self.path(dg.AssetKey([model, asset]), None).parent
        if not folder.exists():
            return []
        windows = sorted(p.stem for p in folder.iterdir() if p.suffix == self.extension)
        asset_key = dg.AssetKey([model, asset])
        return [self.load(asset_key, w) for w in windows if not w.startswith(".")]

    def page(self, key: dg.AssetKey, window: str | None) -> "Page":
        """Where a report's HTML page goes, beside the report."""
        return Page(self.path(key, window).with_suffix(".html"))


@dataclass(frozen=True)
class Page:
    """A page for people, on storage that may not be local."""

    path: "UPath"

    @contextmanager
    def as_local(self) -> Iterator[Path]:
        """A local file to write to, stored when the block ends well."""
        with TemporaryDirectory(prefix="mlops-page-") as folder:
            local = Path(folder) / self.path.name
            yield local
            with_temporary(self.path, lambda file: file.write(local.read_bytes()))


def with_temporary(path: "UPath", write) -> None:
    """Write a file so that a crash leaves the old one or the new one, never half of it.

    An object store's upload is atomic already; a local file is renamed into place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.protocol not in ("", "file"):
        with path.open("wb") as file:
            write(file)
        return
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
