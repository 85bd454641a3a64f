"""A retired model asks for no runs."""

import dagster as dg

from mlops_assets.resources import Platform


def skip_retired(platform: Platform, model: str) -> dg.SkipReason | None:
    """Why a schedule or sensor of a model rests, or None for a model in service."""
    from mlops_assets.lifecycle.rollout.history import retired

    entry = retired(platform.journal, model)
    if entry is None:
        return None
    return dg.SkipReason(f"{model} was retired on {entry.at} by {entry.who}: {entry.why}")
