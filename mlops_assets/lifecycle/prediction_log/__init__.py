"""The prediction log: what was asked and answered, in append-only segment files.

The segments are the truth: a record is in one, under a checksum, before its reply leaves. The
compactor moves them into a database (`compact`), and `PredictionLog.read` sees both.
"""

from mlops_assets.lifecycle.prediction_log.log import PredictionLog, Reading
from mlops_assets.lifecycle.prediction_log.policy import LogPolicy, PolicedLog
from mlops_assets.lifecycle.prediction_log.record import PROBE, Record, new_prediction_id

__all__ = [
    "PROBE",
    "LogPolicy",
    "PolicedLog",
    "PredictionLog",
    "Reading",
    "Record",
    "new_prediction_id",
]
