"""What ``deployment:`` may say, and what a wrong one is answered."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from mlops_assets.lifecycle.rollout.policy import DeploymentPolicy


def test_the_design_s_example_loads():
    policy = DeploymentPolicy.model_validate(
        {
            "strategy": "canary",
            "steps": [5, 25, 50],
            "guardrails": {"error_rate": 1.5, "latency_p95": 1.5},
            "min_duration": "30m",
        }
    )
    assert policy.steps == (5, 25, 50)
    assert policy.min_duration == timedelta(minutes=30)
    assert policy.guardrails == DeploymentPolicy(strategy="canary").guardrails


def test_the_default_is_direct():
    assert DeploymentPolicy().strategy == "direct"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"strategy": "canry"}, "unknown strategy 'canry'; did you mean 'canary'?"),
        ({"strategy": "canary", "stpes": [5]}, "unknown key 'stpes'; did you mean 'steps'?"),
        (
            {"strategy": "canary", "guardrails": {"eror_rate": 1.5}},
            "unknown guardrail 'eror_rate'; did you mean 'error_rate'?",
        ),
        ({"strategy": "canary", "guardrails": {"error_rate": 1.0}}, "more than 1, not 1"),
        ({"strategy": "canary", "guardrails": {"error_rate": float("nan")}}, "not nan"),
        ({"strategy": "canary", "guardrails": {"latency_p95": float("inf")}}, "not inf"),
        ({"strategy": "canary", "guardrails": {"kpi": 1.5}}, "between 0 and 1, not 1.5"),
        ({"strategy": "canary", "guardrails": {}}, "without guardrails can't be judged"),
        ({"strategy": "canary", "steps": []}, "must rise strictly"),
        ({"strategy": "canary", "steps": [25, 5]}, r"steps \[25, 5\] must rise strictly"),
        ({"strategy": "canary", "steps": [5, 5]}, "must rise strictly"),
        ({"strategy": "canary", "steps": [0, 5]}, "above 0"),
        ({"strategy": "canary", "steps": [5, 100]}, "below 100"),
        ({"strategy": "canary", "steps": [float("nan")]}, "must rise strictly"),
        ({"strategy": "direct", "steps": [5]}, "strategy: direct compares nothing.* no steps"),
        ({"guardrails": {"kpi": 0.1}}, "strategy: direct compares nothing.* no guardrails"),
        ({"strategy": "shadow", "steps": [5]}, "strategy: shadow has no steps"),
        ({"strategy": "canary", "alpha": 0}, "alpha"),
        ({"strategy": "canary", "min_requests": 0}, "min_requests"),
        ({"strategy": "canary", "min_duration": 10}, "10 is not a duration"),
        ({"strategy": "canary", "min_duration": "2d"}, "max_duration must be longer"),
        ({"strategy": "canary", "unit_window": "0s"}, "unit_window must be longer"),
    ],
)
def test_a_wrong_policy_is_told_what_is_wrong(declared, message):
    with pytest.raises(ValidationError, match=message):
        DeploymentPolicy.model_validate(declared)
