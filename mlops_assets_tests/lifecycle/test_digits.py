"""Numbers as people read them."""

import pytest

from mlops_assets.lifecycle.digits import THIN, digits
from mlops_assets.lifecycle.report_html.page import FILTERS


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.123456, "0.1235"),
        (1.234567e-7, "1.235e-07"),
        (9999.4, "9999"),
        (9999.6, "10,000"),
        (12_345.678, "12,346"),
        (-1_234_567.8, "-1,234,568"),
        (2e20, "2e+20"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_money_is_written_in_full_and_small_numbers_with_four_digits(value, written):
    assert digits(value) == written


def test_signs_significance_and_separator():
    assert digits(12_345.678, signed=True) == "+12,346"
    assert digits(-0.5, signed=True) == "-0.5"
    assert digits(0.0, signed=True) == "0"
    assert digits(1234.5, 3) == "1,234"
    assert digits(12.345, 3) == "12.3"
    assert digits(1e6, separator=THIN) == "1\u202f000\u202f000"


def test_pages_write_whole_and_other_numbers_alike():
    number = FILTERS["num"]
    assert number(12_346) == number(12_345.678) == "12\u202f346"
    assert (number(None), number(float("inf")), number("soon")) == ("none", "inf", "soon")
