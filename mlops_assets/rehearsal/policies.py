"""The policies that are held against each other, and the declaration as it is played."""

from mlops_assets.automation.schedules import watch_cron
from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy
from mlops_assets.lifecycle.spec import ModelSpec, RetrainPolicy, ServingPolicy

DECLARED, NEVER, ALWAYS = "declared", "never", "always"
POLICIES = (DECLARED, NEVER, ALWAYS)

ASSUMPTIONS = (
    "An accepted challenger serves at once: canary, shadow and their statistics are left out.",
    "Nobody is waited for: what gate.approval asks a person for is taken as given.",
    "A run takes no time: a model that was asked for at a moment serves from that moment on.",
    "Traffic is the feature frame of each window, each row asked once, at its own time.",
    "Labels are known label_delay after their row, neither earlier nor later.",
    "Versions are not packed and not fitted twice: both change no answer.",
)


def played(spec: ModelSpec) -> ModelSpec:
    """The declaration without what a copy leaves out; see ``ASSUMPTIONS``."""
    return spec.model_copy(
        update={
            "deployment": DeploymentPolicy(strategy="direct"),
            "gate": spec.gate.model_copy(update={"approval": "none"}),
            "training": spec.training.model_copy(update={"reproduce": False}),
            "serving": ServingPolicy(packed=False),
            "alerts": ["console"],
        }
    )


def under(policy: str, spec: ModelSpec) -> ModelSpec:
    """The played declaration under a policy.

    ``never`` and ``always`` are declarations, too: no schedule and no trigger, or a schedule an
    hour after midnight of the day on which a window closes.
    """
    if policy == DECLARED:
        return spec
    cron = None
    if policy == ALWAYS:
        cron = watch_cron(spec).replace("30 0", "0 1", 1)
    return spec.model_copy(update={"retrain": RetrainPolicy(schedule=cron, on=())})
