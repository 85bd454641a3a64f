"""A declaration with every key of the gate, through the real platform."""

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


def declared(**gate):
    changes = {"columns__kpi": "minutes", "columns__ignore": ["region", "age_band"]}
    return weekly(gate=EVERY_KEY | gate, **changes)


def data():
    frame = visits(5)
    number = frame["customer"].str[1:].astype(int)
    return frame.assign(
        region=number.mod(3).map({0: "north", 1: "south", 2: "west"}),
        age_band=number.mod(2).map({0: "18-39", 1: "40+"}),
    )


def test_all_rules_are_judged_and_a_single_failed_one_blocks_by_its_name(lab):
    lab.write(data())
    lab.declare(declared())
    assert lab.fill(0, 4).success
    with lab.server():
        first = lab.run("lifecycle", week(2))
        assert first.success, errors(first)
        report = lab.stored("evaluation_report", week(2))
        assert [rule.name for rule in report.rules] == LINES
        assert report.verdict.verdict == "first_model"

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
