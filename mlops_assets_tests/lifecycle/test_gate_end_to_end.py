"""A declaration with every key of the gate, through the real platform."""

import pytest

from mlops_assets_tests.harness import checks, errors, visits, week, weekly

EVERY_KEY = {
    "metric": "average_precision",
    "margin": 0.05,
    "alpha": 0.05,
    "floor": {"average_precision": 0.2},
    "kpi": {
        "blocked_value_at_budget": {"alerts_per_day": 15, "min_ratio": 0.9},
        "false_positives_per_true_positive": {"alerts_per_day": 15},
    },
    "slices": ["region"],
    "fairness": {"attribute": "age_band", "metric": "equal_opportunity_difference", "limit": 0.2},
    "calibration": {"max_error": 0.2},
    "limits": {"latency_ms": 1000, "size_mb": 50},
    "hold_out": {"disjoint_units": False, "representative": {"max_auc": 0.7}},
    "retests": 3,
}
LINES = [
    "metric",
    "floor.average_precision",
    "answers",
    "kpi.blocked_value_at_budget",
    "kpi.false_positives_per_true_positive",
    "slices.region",
    "fairness.age_band",
    "calibration",
    "limits.latency_ms",
    "limits.size_mb",
    "hold_out.disjoint_units",
    "hold_out.representative",
    "retests",
]


def declared(packed=False, **gate):
    changes = {
        "serving__packed": packed,
        "columns__kpi": "minutes",
        "columns__ignore": ["region", "age_band"],
    }
    return weekly(gate=EVERY_KEY | gate, **changes)


def data():
    frame = visits(5)
    number = frame["customer"].str[1:].astype(int)
    return frame.assign(
        region=number.mod(3).map({0: "north", 1: "south", 2: "west"}),
        age_band=number.mod(2).map({0: "18-39", 1: "40+"}),
    )


@pytest.mark.slow
def test_all_rules_are_judged_and_a_single_failed_one_blocks_by_its_name(lab):
    lab.write(data())
    lab.declare(declared(packed=True))
    assert lab.fill(0, 4).success
    with lab.server():
        first = lab.run("lifecycle", week(2))
        assert first.success, errors(first)
        report = lab.stored("evaluation_report", week(2))
        assert [rule.name for rule in report.rules] == LINES
        assert report.verdict.verdict == "first_model"
        assert "calls of the packed form" in report.rules[LINES.index("limits.latency_ms")].words

        lab.declare(declared())
        second = lab.run("lifecycle", week(3))
        assert second.success, errors(second)
        report = lab.stored("evaluation_report", week(3))
        assert [rule.name for rule in report.rules] == LINES
        assert {rule.status for rule in report.rules} == {"passed"}
        assert lab.aliases()["champion"] == 2

        lab.declare(declared(limits={"latency_ms": 1000, "size_mb": 0.0001}))
        third = lab.run("lifecycle", week(4))
    gate = checks(third)["evaluation_report/gate"]
    assert not gate.passed
    assert gate.metadata["verdict"].value == "blocked"
    assert gate.description.startswith("blocked: limits.size_mb: all files, in MB: ")
    assert lab.aliases()["champion"] == 2

    # Neither a gate that was made easier nor a report that was deleted makes it a first look.
    lab.file("evaluation_report", week(4)).unlink()
    lab.declare(declared(calibration={"max_error": 0.3}))
    again = lab.run("lifecycle", week(4), only=["evaluation_report"])
    assert again.success, errors(again)
    report = lab.stored("evaluation_report", week(4))
    assert (report.look, report.comparison.alpha) == (2, 0.025)
