"""Numbers for a reader: as many digits as their interval deserves."""

from __future__ import annotations

import pytest

from cryoalign.evaluate.digits import interval_digits, interval_text, number, spread_text

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ((1.0342, 0.98123, 1.09431), "1.03 (0.98 to 1.09)"),
        ((0.99987, 0.99981, 0.99993), "0.99987 (0.99981 to 0.99993)"),
        ((15012.3, 14900, 15100), "15012 (14900 to 15100)"),
        ((-0.004, -0.02, 0.01), "−0.004 (−0.020 to 0.010)"),  # noqa: RUF001  a minus sign
        ((-0.0001, -0.02, 0.01), "0.000 (−0.020 to 0.010)"),  # noqa: RUF001
        ((1.0, NAN, NAN), "1.00"),
        ((1.0, None, None), "1.00"),
        ((1.0, 1.0, 1.0), "1.00"),
        ((NAN, NAN, NAN), "–"),  # noqa: RUF001  a dash
        ((None, None, None), "–"),  # noqa: RUF001
        ((INF, 0.0, INF), "–"),  # noqa: RUF001
    ],
)
def test_as_many_digits_as_the_interval_deserves(given, written):
    assert interval_text(*given) == written


def test_units_spreads_and_plain_numbers():
    assert interval_text(48, 17, 79, "A") == "48 Å (17 to 79)"
    assert interval_text(3.4, 3.1, 3.7, "degree") == "3.40° (3.10 to 3.70)"
    assert interval_text(NAN, unit="A") == interval_digits(NAN)[0]
    assert spread_text(0.3901, 0.0123) == "0.390 ± 0.012"
    assert spread_text(0.39012, None) == "0.3901"
    assert [number(value) for value in (0.0, 12345.6, 0.01234)] == ["0", "12346", "0.0123"]
    assert number(-2e-9, 2) == "−2.0e−09"  # noqa: RUF001
