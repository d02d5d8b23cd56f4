"""CryoSPARC's files as one table: both formats, passthrough files, and files that cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.cryosparc.read import read_cryosparc
from tests.io.cryosparc_files import location, particles, save, with_column, without


def test_a_passthrough_is_joined_by_uid(tmp_path: Path) -> None:
    table = particles()
    more = location(table)
    assert more["uid"][:8].tolist() != table["uid"].tolist()
    passthrough = save(tmp_path / "p.cs", more)
    read = read_cryosparc(save(tmp_path / "a.cs", table), [passthrough])
    assert read.micrograph.tolist() == [f"J2/motion/mic_{uid % 4}.mrc" for uid in table["uid"].tolist()]
    assert read.table["location/micrograph_uid"].to_list() == [
        uid % 4 + 2**63 for uid in table["uid"].tolist()
    ]
    np.testing.assert_array_equal(read.defocus[:, 0], table["ctf/df1_A"])


def test_a_passthrough_may_hold_what_is_needed(tmp_path: Path) -> None:
    table = particles()
    names = [name for name in table.dtype.names if name.startswith("ctf/")]
    main, others = save(tmp_path / "a.cs", without(table, *names)), save(tmp_path / "b.cs", table[::-1])
    both, one = read_cryosparc(main, [others]), read_cryosparc(save(tmp_path / "c.cs", table))
    np.testing.assert_array_equal(both.defocus, one.defocus)
    with pytest.raises(InputError, match=r"no CTF columns[\s\S]*passthrough="):
        read_cryosparc(main)


def test_csdat_is_read_like_numpys_format(tmp_path: Path) -> None:
    dataset = pytest.importorskip("cryosparc.dataset")
    table = particles()
    path = tmp_path / "compressed.cs"
    dataset.Dataset(table).save(str(path), format=dataset.CSDAT_FORMAT)
    assert path.read_bytes()[1:6] == b"CSDAT"
    read, plain = read_cryosparc(path), read_cryosparc(save(tmp_path / "a.cs", table))
    assert read.table["uid"].to_list() == plain.table["uid"].to_list()
    assert read.stack.tolist() == plain.stack.tolist()
    for name in ("angles", "shift", "defocus", "phase_shift", "half", "sign", "slot"):
        np.testing.assert_array_equal(getattr(read, name), getattr(plain, name))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"compressed.cs: this CSDAT file cannot be read"):
        read_cryosparc(path)


@pytest.mark.parametrize("magic", [b"\x94CSDAT", b"\x95CSDAT"])
def test_csdat_without_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, magic: bytes) -> None:
    monkeypatch.setitem(sys.modules, "cryosparc.dataset", None)
    (tmp_path / "a.cs").write_bytes(magic + bytes(100))
    with pytest.raises(
        InputError, match=r"a\.cs: .*CSDAT[\s\S]*pip install 'cryoalign\[cryosparc\]'.*Dataset"
    ):
        read_cryosparc(tmp_path / "a.cs")


class _Trap:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import sys; sys.modules['cryoalign_unpickled'] = sys",)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    table = with_column(particles(), "note", np.array([_Trap()] * 8, dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        read_cryosparc(save(tmp_path / "a.cs", table))
    assert "cryoalign_unpickled" not in sys.modules


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = save(tmp_path / "bad.cs", particles())
    content = path.read_bytes()
    for length in (len(content) - 7, 700, 20, 6):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"bad.cs: this \.cs file cannot be read[\s\S]*cut off"):
            read_cryosparc(path)
    path.write_bytes(content[:3])
    with pytest.raises(InputError, match=r"not a CryoSPARC \.cs file"):
        read_cryosparc(path)


def test_a_bad_passthrough_names_its_file_and_row(tmp_path: Path) -> None:
    table = particles()
    main, more = save(tmp_path / "a.cs", without(table, "ctf/cs_mm")), location(table)
    lacking = save(tmp_path / "lacking.cs", more[more["uid"] != table["uid"][4]])
    with pytest.raises(InputError, match=rf"a\.cs, row 5: [\s\S]*lacking\.cs[\s\S]*{table['uid'][4]}"):
        read_cryosparc(main, [lacking])
    twice = save(tmp_path / "twice.cs", np.concatenate([more, more[more["uid"] == table["uid"][0]]]))
    with pytest.raises(InputError, match=r"twice\.cs, row 12: two rows have the same uid"):
        read_cryosparc(main, [twice])
    other = table[::-1].copy()
    other["ctf/cs_mm"][1] = np.inf
    with pytest.raises(InputError, match=r"other\.cs, row 2: ctf/cs_mm is not finite"):
        read_cryosparc(main, [save(tmp_path / "other.cs", other)])
