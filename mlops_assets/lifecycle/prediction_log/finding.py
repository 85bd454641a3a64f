"""Finding a prediction by its id among all models, in segments and database alike."""

from contextlib import closing

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log import reading, rows
from mlops_assets.lifecycle.prediction_log.log import PredictionLog
from mlops_assets.lifecycle.prediction_log.record import Record


def find(log: PredictionLog, prediction_id: str, model: str | None = None) -> Record:
    """The record of a prediction.

    Compacted ones are found by an index; what is still in segments is read through.

    Parameters
    ----------
    model : str or None
        Look there only.

    Raises
    ------
    EvidenceError
        When there is none, naming where it was looked for; when it is there twice and not the
        same; when the log is damaged.
    """
    models = log.merged.models() if model is None else [model]
    value = rows.indexed(prediction_id)
    condition = rows.Condition("prediction_id", value, value, closed=True)
    found: list[Record] = []
    for name in models:
        with closing(log.merged.read(reading.Query(name, condition), reading.Torn())) as records:
            found += [record for record in records if record.prediction_id == prediction_id]
    if not found:
        database = log.merged.database or reading.default_database(log.folder)
        raise EvidenceError(
            f"no prediction {prediction_id[:100]!r} in {log.folder} (models: "
            f"{', '.join(models) or 'none'}) nor in {_shown(database)}"
        )
    if any(record != found[0] for record in found[1:]):
        raise EvidenceError(f"{len(found)} predictions have the id {prediction_id!r}")
    return found[0]


def request_of(log: PredictionLog, record: Record) -> list[Record]:
    """The records that were answered in one request with this one, itself among them."""
    return [
        other
        for other in log.logged_since(record.model, record.logged_at)
        if other.logged_at == record.logged_at
        and (other.version, other.variant) == (record.version, record.variant)
        and other.latency_ms == record.latency_ms
    ]


def _shown(url: str) -> str:
    import sqlalchemy as sa

    return sa.make_url(url).set(query={}).render_as_string(hide_password=True)
