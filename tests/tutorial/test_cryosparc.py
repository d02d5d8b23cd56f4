"""The tutorial does what it says, from CryoSPARC's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tutorial.page import check_what_the_page_says, walk


@pytest.mark.slow
def test_the_commands_do_what_the_page_says(tmp_path: Path) -> None:
    # The GAN is trained on the same pairs as RELION's and judged by the same line, and that takes longest.
    done = walk("CryoSPARC", tmp_path, without=("cryoalign train data=stars", "cryoalign evaluate run="))
    check_what_the_page_says(done.folder, done.printed, "cs")
