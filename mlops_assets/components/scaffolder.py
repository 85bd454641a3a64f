"""``dg scaffold defs mlops_assets.ModelLifecycle NAME``: a declaration to fill in."""

import re
from pathlib import Path

import dagster as dg

from mlops_assets.lifecycle.errors import DeclarationError
from mlops_assets.lifecycle.spec import ModelSpec

TEMPLATE = """type: mlops_assets.ModelLifecycle

attributes:
  name: {name}
  task: binary_classification  # multiclass_classification, regression, count_regression, ranking
  cadence: none                # daily, weekly or monthly, with start: and columns.time
  source: {{type: csv, path: data.csv}}  # parquet, sql or python; paths start from this folder
  columns: {{target: target}}
  estimator: {{class: sklearn.ensemble.HistGradientBoostingClassifier}}
  training: {{hold_out: 0.3}}    # with windows: {{windows: 8, hold_out: 1}}
  gate: {{metric: log_loss, margin: 0.01, floor: {{roc_auc: 0.6}}}}
"""

DATA = "x,target\n" + "".join(f"{i},{int(i * 617 % 1000 < i)}\n" for i in range(1000))


class ModelLifecycleScaffolder(dg.Scaffolder):
    """Writes a declaration that loads, with a small data set to be replaced."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        folder = Path(request.target_path)
        _require_name(folder.name)
        text = TEMPLATE.format(name=folder.name)
        (folder / "defs.yaml").write_text(text, "utf-8")
        (folder / "data.csv").write_text(DATA, "utf-8")


def _require_name(name: str) -> None:
    (pattern,) = (m.pattern for m in ModelSpec.model_fields["name"].metadata)
    if not re.search(pattern, name):
        raise DeclarationError(f"{name!r} can't name a model: it doesn't match {pattern}")
