"""What is said of a part that was kept or left out."""

from __future__ import annotations

import pytest

from cryoalign.errors import InputError
from cryoalign.models.physical.choice import NOTHING, Verdict, checked_setting


@pytest.mark.parametrize(
    ("verdict", "setting", "expected"),
    [
        (NOTHING, "auto", "left out (nothing of the kind was found)"),
        (NOTHING, True, "left out (nothing of the kind was found)"),
        (NOTHING, False, "left out, as asked for"),
        (Verdict(kept=True), True, "kept, as asked for"),
        (Verdict(kept=False), "auto", "left out (too few groups to hold some out)"),
        (Verdict(kept=True, nats=20.0, error=3.0), "auto", "kept (+20 +- 3 nats in held-out groups)"),
        (
            Verdict(kept=True, nats=83612.4, error=2104.0),
            "auto",
            "kept (+83,612 +- 2,104 nats in held-out groups)",
        ),
        (Verdict(kept=False, nats=-9.0, error=3.0), "auto", "left out (-9 +- 3 nats in held-out groups)"),
        (
            Verdict(kept=False, nats=5.0, error=3.0),
            "auto",
            "left out (+5 +- 3 nats in held-out groups, less than twice the error)",
        ),
        (
            Verdict(kept=False, nats=80.0, error=18.0),
            "auto",
            "left out (+80 +- 18 nats in held-out groups, but too weak to be told from the noise)",
        ),
    ],
)
def test_description(verdict: Verdict, setting: bool | str, expected: str) -> None:
    assert verdict.description(setting) == expected


@pytest.mark.parametrize("value", ["auto", True, False])
def test_settings_that_there_are(value: bool | str) -> None:
    assert checked_setting("pattern", value) is value


@pytest.mark.parametrize("value", [0, 1, 2, None, 0.5, "yes", "maybe"], ids=str)
def test_a_setting_that_is_none_is_refused_and_not_read_as_another(value: object) -> None:
    with pytest.raises(InputError, match=r"generator\.pattern"):
        checked_setting("pattern", value)
