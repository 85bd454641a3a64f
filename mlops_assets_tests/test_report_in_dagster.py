"""The evaluation report as people read it: in Dagster's UI, as a page, in MLflow."""

import numpy as np
import pytest

from mlops_assets_tests.harness import errors, visits, week, weekly

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shop(shared_lab):
    """Two lifecycles of a shop whose column names, values and description are markup."""
    lab = shared_lab
    rng = np.random.default_rng(3)
    frame = visits(4)
    frame[HOSTILE] = rng.choice([HOSTILE, '"><img src=x onerror=alert(2)>', "plain"], len(frame))
    lab.write(frame)
    lab.declare(weekly(description=HOSTILE))
    assert lab.fill(0, 3).success
    with lab.server():
        for number in (2, 3):
            result = lab.run("lifecycle", week(number))
            assert result.success, errors(result)
        yield lab


def test_x(shop):
    r = shop.stored("evaluation_report", week(3))

    import shutil

    shutil.copy(r.html, "/tmp/rx2.html")
    assert r.explanation
