"""The motor claims example through its whole life: trained, judged, served, shifted."""

import pytest

from mlops_assets_tests.conftest import ROOT
from mlops_assets_tests.harness import checks, errors

pytestmark = pytest.mark.slow

MONTHS = [f"2024-{month:02d}-01" for month in range(1, 6)]
JUDGED, SHIFTED = MONTHS[-2:]
ASKED = 2_500


@pytest.fixture(scope="module")
def motor(shared_lab):
    """Four months of data, and a fifth with more young drivers."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_MOTOR_CLAIMS_SHIFT_FROM", SHIFTED)
        shared_lab.folder = ROOT / "mlops_assets" / "defs" / "motor_claims"
        shared_lab.reload("motor_claims")
        tags = {
            "dagster/asset_partition_range_start": MONTHS[0],
            "dagster/asset_partition_range_end": SHIFTED,
        }
        filled = shared_lab.run("data", None, None, **tags)
        assert filled.success, errors(filled)
        yield shared_lab


def test_its_whole_life(motor):
    with motor.server() as url:
        run = motor.run("lifecycle", JUDGED)
        assert run.success, errors(run)
        assert [name for name, check in checks(run).items() if not check.passed] == []
        report = motor.stored("evaluation_report", JUDGED)
        assert report.verdict.verdict == "first_model"
        assert report.comparison.low > 0  # better than the GLM
        values = {estimate.metric: estimate for estimate in report.challenger}
        assert values["a_over_e"].low < 1.05
        assert values["a_over_e"].high > 0.95
        trained = motor.stored("trained_model", JUDGED)
        assert trained.packed.startswith("proved the same to the bit")
        for month in (JUDGED, SHIFTED):
            known = [*trained.features, "claims", "at", "policy_id"]
            motor.ask(url, motor.stored("validated_features", month)[known].head(ASKED))
    drift = {}
    for month in (JUDGED, SHIFTED):
        watched = motor.run("monitoring", month)
        assert watched.success, errors(watched)
        drift[month] = motor.stored("drift_report", month)
    assert not drift[JUDGED].drifted
    moved = {c.column for c in drift[SHIFTED].columns if c.verdict == "drifted"}
    assert {"driver_age", "prediction"} <= moved
