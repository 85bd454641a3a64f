"""The REST interface, put together."""

from pathlib import Path

from mlops_assets.lifecycle.ground_truth import FeedbackLog
from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.prediction_log.policy import LogPolicy, PolicedLog
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.application import Application
from mlops_assets.serving.endpoints import Endpoints
from mlops_assets.serving.following import FollowerProcess, Following
from mlops_assets.serving.gate import Gate
from mlops_assets.serving.keys import Keys
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import POLL_SECONDS, Models
from mlops_assets.serving.options import Options
from mlops_assets.serving.predictions import Predictions
from mlops_assets.serving.shadow import Shadow


def build_app(
    settings: Settings,
    poll_seconds: float = POLL_SECONDS,
    options: Options | None = None,
    following: Following | None = None,
    counts: Path | None = None,
) -> Application:
    """The server as an ASGI application.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
        How often the registry is read.
    options : Options or None
        None reads them from the environment.
    following : Following or None
        Who follows the registry; None starts a process that does.
    counts : Path or None
        Folder where several servers of one address tell each other what they have counted.

    Raises
    ------
    DeclarationError
        When the file of API keys is wrong.
    """
    options = options or Options.from_environment()
    keys = Keys.read(options.api_keys) if options.api_keys else None
    following = following or FollowerProcess(settings, poll_seconds)
    models = Models(settings, following.folder, poll_seconds)
    writer = ServerLog(settings, options)
    labels = FeedbackLog(settings.prediction_log, durability=options.durability)
    metrics = Metrics(models)
    metrics.count_lost(writer.failures)
    shadow = Shadow(models, writer, metrics)
    shared = () if counts is None else (metrics.share(counts),)
    workers = (following, shadow, *shared)
    endpoints = Endpoints(models, (writer.log, labels), metrics, options, labels, workers)
    predictions = Predictions(
        models, writer, Gate(keys), metrics, options.in_flight, shadow.after_answer
    )
    return Application(predictions, endpoints, options.seconds)


class ServerLog(PolicedLog):
    """The prediction log as this server writes it.

    Parameters
    ----------
    settings : Settings
    options : Options
    """

    def __init__(self, settings: Settings, options: Options):
        self.waits = options.durability != "write"
        super().__init__(
            PredictionLog(settings.prediction_log, durability=options.durability),
            dict.fromkeys(options.answer_unlogged, LogPolicy("open")),
        )
