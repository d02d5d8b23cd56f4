from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoalign.io.mrc_write import StackWriter
from cryoalign.io.stack_files import StackFiles

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = np.random.default_rng(0).normal(size=(7, 4, 4)).astype(np.float32)


def test_images_are_found_in_their_files(tmp_path: Path) -> None:
    files = StackFiles("sim", len(IMAGES), 3)
    for number, name in enumerate(files.names):
        part = IMAGES[files.images(number)]
        with StackWriter(tmp_path / name, len(part), 4, 1.0) as writer:
            writer.write(part)
    read = files.reader(tmp_path)
    for row in (6, 0, 3, 2, 5):
        np.testing.assert_array_equal(read(row), IMAGES[row])
    assert files.image_names(np.array([0, 5, 6]), "new/") == [
        "000001@new/sim_000001.mrcs", "000003@new/sim_000002.mrcs", "000001@new/sim_000003.mrcs"
    ]  # fmt: skip
    assert StackFiles("sim", 7, 7).image_names(np.array([6])) == ["000007@sim.mrcs"]
