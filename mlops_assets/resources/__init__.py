"""Everything that differs between a laptop and a cluster."""

from mlops_assets.resources.mlflow import MlflowResource
from mlops_assets.resources.notifier import Notifier
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.storage import FrameIOManager, ReportIOManager

__all__ = ["FrameIOManager", "MlflowResource", "Notifier", "Platform", "ReportIOManager"]
