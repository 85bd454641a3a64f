"""Compacting what the platform has logged: predictions and labels."""

from datetime import datetime, timedelta

from mlops_assets.lifecycle.errors import EvidenceError
from mlops_assets.lifecycle.prediction_log.compaction import Compaction
from mlops_assets.lifecycle.settings import Settings


def compact_all(settings: Settings, now: datetime, keep: timedelta) -> dict[str, Compaction]:
    """Move both logs into their database; what was done, by kind of record.

    Parameters
    ----------
    now : datetime
        Aware.
    keep : timedelta
        How long a stored segment stays after its last write.

    Raises
    ------
    EvidenceError
        When the database can't be used, naming it without its password.
    """
    import sqlalchemy as sa

    from mlops_assets.lifecycle.ground_truth import FeedbackLog
    from mlops_assets.lifecycle.prediction_log.compaction import Log, compact
    from mlops_assets.lifecycle.prediction_log.log import PredictionLog
    from mlops_assets.lifecycle.prediction_log.reading import default_database
    from mlops_assets.lifecycle.prediction_log.store import LogStore

    folder = settings.prediction_log
    url = settings.log_database or default_database(folder)
    store = None
    try:
        store = LogStore(url)
        logs: tuple[Log, ...] = (PredictionLog(folder), FeedbackLog(folder))
        return {log.kind: compact(log, store, now=now, keep=keep) for log in logs}
    except sa.exc.DBAPIError as error:
        hidden = sa.make_url(url).set(query={}).render_as_string(hide_password=True)
        raise EvidenceError(f"{hidden}: {error.orig}") from None
    finally:
        if store is not None:
            store.close()
