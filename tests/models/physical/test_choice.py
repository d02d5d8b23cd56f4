"""What is said of a part that was kept or left out."""

from __future__ import annotations

import pytest

from cryoalign.models.physical.choice import NOTHING, Verdict


@pytest.mark.parametrize(
    ("verdict", "setting", "expected"),
    [
        (NOTHING, "auto", "left out (nothing of the kind was found)"),
        (NOTHING, True, "left out (nothing of the kind was found)"),
        (NOTHING, False, "left out, as asked for"),
        (Verdict(kept=True), True, "kept, as asked for"),
        (Verdict(kept=False), "auto", "left out (too few micrographs to hold some out)"),
        (Verdict(kept=True, nats=20.0, error=3.0), "auto", "kept (+20 +- 3 nats in held-out micrographs)"),
    ],
)
def test_description(verdict: Verdict, setting: bool | str, expected: str) -> None:
    assert verdict.description(setting) == expected
