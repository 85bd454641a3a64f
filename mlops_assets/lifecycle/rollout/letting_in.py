"""From an accepted challenger to one that serves, by the declared strategy."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.evaluation import policy_hash
from mlops_assets.lifecycle.registry import CHAMPION, Registry
from mlops_assets.lifecycle.reports import EvaluationReport
from mlops_assets.lifecycle.rollout.approval import approve
from mlops_assets.lifecycle.rollout.history import last_step
from mlops_assets.lifecycle.rollout.journal import Entry, Journal
from mlops_assets.lifecycle.rollout.promotion import promote
from mlops_assets.lifecycle.rollout.steps import begin
from mlops_assets.lifecycle.rollout.strategies import STRATEGIES

if TYPE_CHECKING:
    from mlops_assets.lifecycle.spec import ModelSpec

REQUIRED = "required"


def let_in(
    spec: "ModelSpec",
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    data_version: str,
    who: str,
) -> Entry:
    """Promote the challenger of a report, or begin its rollout.

    Parameters
    ----------
    data_version : str
        Of the hold-out, as it is stored now.

    Returns
    -------
    Entry
        The change that has brought the challenger so far.

    Raises
    ------
    ApprovalPending
        When a person has to approve it first.
    EvidenceError, RolloutError, ArtifactError
        See :func:`~mlops_assets.lifecycle.rollout.promotion.promote`.
    """
    policy = spec.deployment
    strategy = STRATEGIES[policy.strategy]
    champion = registry.aliases(spec.name).get(CHAMPION)
    # A first model has nobody to be compared with, and one that serves already nowhere to go.
    direct = not strategy.watched or champion in (None, report.verdict.challenger_version)
    if direct:
        return promote(
            registry,
            journal,
            report,
            policy_hash=policy_hash(spec),
            data_version=data_version,
            who=who,
            approval_required=spec.gate.approval == REQUIRED,
        )
    begin(
        registry,
        journal,
        report,
        strategy=strategy.name,
        share=strategy.first_share(policy),
        names=strategy.names(policy),
        policy_hash=policy_hash(spec),
        data_version=data_version,
        who=who,
        approval_required=spec.gate.approval == REQUIRED,
    )
    return last_step(journal, spec.name)


def approve_and_let_in(
    spec: "ModelSpec",
    registry: Registry,
    journal: Journal,
    report: EvaluationReport,
    *,
    data_version: str,
    who: str,
    why: str,
) -> tuple[Entry, Entry]:
    """A person's word, and what it lets in; asked again after a crash, it is completed.

    Returns
    -------
    approval, change : Entry

    Raises
    ------
    LifecycleError
        As :func:`~mlops_assets.lifecycle.rollout.approval.approve` and :func:`let_in` do.
    """
    approval = approve(
        registry,
        journal,
        report,
        policy_hash=policy_hash(spec),
        data_version=data_version,
        who=who,
        why=why,
    )
    change = let_in(spec, registry, journal, report, data_version=data_version, who=who)
    return approval, change
