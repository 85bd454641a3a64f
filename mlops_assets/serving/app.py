"""The REST interface, put together."""

from mlops_assets.lifecycle.prediction_log import PredictionLog
from mlops_assets.lifecycle.settings import Settings
from mlops_assets.serving.application import AfterAnswer, Application
from mlops_assets.serving.endpoints import Endpoints
from mlops_assets.serving.feedback import FeedbackSink
from mlops_assets.serving.gate import Gate
from mlops_assets.serving.keys import Keys
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import POLL_SECONDS, Models
from mlops_assets.serving.options import Options


def build_app(
    settings: Settings,
    poll_seconds: float = POLL_SECONDS,
    options: Options | None = None,
    feedback: FeedbackSink | None = None,
    after_answer: AfterAnswer | None = None,
) -> Application:
    """The server as an ASGI application.

    Parameters
    ----------
    settings : Settings
    poll_seconds : float
        How often the registry is read.
    options : Options or None
        None reads them from the environment.
    feedback : FeedbackSink or None
        Stores labels; without it ``/v2/models/{model}/feedback`` does not exist.
    after_answer : callable or None
        Called after each reply to a prediction has left, on the event loop: for shadow scoring,
        which must hand its work to a thread.

    Raises
    ------
    DeclarationError
        When the file of API keys is wrong.
    """
    options = options or Options.from_environment()
    keys = Keys.read(options.api_keys) if options.api_keys else None
    models, prediction_log = Models(settings, poll_seconds), PredictionLog(settings.prediction_log)
    metrics = Metrics(models)
    endpoints = Endpoints(models, prediction_log, metrics, options, feedback)
    return Application(
        models, prediction_log, options, Gate(keys), metrics, endpoints, after_answer
    )
