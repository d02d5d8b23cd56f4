"""Several maps: a list in its order, a folder in natural order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cryoalign.errors import InputError
from cryoalign.io.map_files import map_files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    names = ["frame_1.mrc", "frame_2.mrc", "frame_10.map.gz", "frame_010.mrc", "other.MRC"]
    for name in [*names, ".hidden.mrc", "notes.txt", "stack.mrcs"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.mrc").mkdir()
    assert [path.name for path in map_files(tmp_path)] == names
    with pytest.raises(InputError, match=r"no map in this folder\n  expected: files that end in \.pdb"):
        map_files(tmp_path, (".pdb",))


def test_one_and_a_list(tmp_path: Path) -> None:
    assert map_files("a.mrc") == map_files(["a.mrc"])
    assert [str(path) for path in map_files(["b.mrc", "a.mrc"])] == ["b.mrc", "a.mrc"]


@pytest.mark.parametrize("given", [[], 5, ["a.mrc", 5], ["a.mrc", ""], None])
def test_what_names_no_maps_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="volume names no maps"):
        map_files(given)
