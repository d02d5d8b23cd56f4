"""Atomic models: what is kept, what is built, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryoalign.errors import InputError
from cryoalign.io.structure import read_structure

ATOM = (
    "{0:<6}{1:5d} {2:<4}{3:1}{4:<3} {5}{6:4d}    "
    "{7:8.3f}{8:8.3f}{9:8.3f}{10:6.2f}{11:6.2f}          {12:>2}\n"
)
ROWS = [
    ("ATOM", 1, " N", "", "ALA", "A", 1, 1.0, 2.0, 3.0, 1.0, 11.0, "N"),
    ("ATOM", 2, " CA", "A", "ALA", "A", 1, 2.0, 2.0, 3.0, 0.7, 12.0, "C"),
    ("ATOM", 3, " CA", "B", "ALA", "A", 1, 2.5, 2.0, 3.0, 0.3, 13.0, "C"),
    ("ATOM", 4, " H", "", "ALA", "A", 1, 1.0, 3.0, 3.0, 1.0, 14.0, "H"),
    ("ATOM", 5, " CB", "", "ALA", "A", 1, 9.0, 9.0, 9.0, 0.0, 15.0, "C"),
    ("ATOM", 8, " CA", "", "GLY", "A", 2, 3.0, 2.0, 3.0, 1.0, 15.0, "C"),
    ("HETATM", 6, "MG", "", " MG", "A", 3, 4.0, 2.0, 3.0, 1.0, 16.0, "MG"),
    ("HETATM", 7, " O", "", "HOH", "A", 4, 5.0, 2.0, 3.0, 1.0, 17.0, "O"),
]
STRANGE = ("ATOM", 12, " QQ", "", "ALA", "A", 1, 1.0, 2.0, 3.0, 1.0, 11.0, "X")
TURN = """REMARK 350 BIOMOLECULE: 1
REMARK 350 APPLY THE FOLLOWING TO CHAINS: A
REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000
REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000
REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000
REMARK 350   BIOMT1   2 -1.000000  0.000000  0.000000       10.00000
REMARK 350   BIOMT2   2  0.000000 -1.000000  0.000000        0.00000
REMARK 350   BIOMT3   2  0.000000  0.000000  1.000000        0.00000
"""


def pdb(path: Path, rows: list[tuple[object, ...]] = ROWS, head: str = TURN) -> Path:
    atoms = "".join(ATOM.format(*row) for row in rows)
    path.write_text(f"{head}MODEL        1\n{atoms}ENDMDL\nMODEL        2\n{atoms}ENDMDL\nEND\n")
    return path


def test_the_first_model_without_waters(tmp_path: Path) -> None:
    atoms = read_structure(pdb(tmp_path / "a.pdb"))
    assert atoms.elements.tolist() == ["N", "C", "C", "H", "C", "Mg"]
    np.testing.assert_allclose(atoms.positions[:, 0], [1, 2, 2.5, 1, 3, 4])
    np.testing.assert_allclose(atoms.positions[0], [1, 2, 3])
    np.testing.assert_allclose(atoms.bfactor, [11, 12, 13, 14, 15, 16])
    np.testing.assert_allclose(atoms.occupancy, [1, 0.7, 0.3, 1, 1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("choice", "elements"),
    [
        ({"hydrogens": False}, "N C C C Mg"),
        ({"waters": True}, "N C C H C Mg O"),
        ({"ligands": False}, "N C C H C"),
        ({"ligands": False, "waters": True}, "N C C H C O"),
    ],
)
def test_choices(tmp_path: Path, choice: dict[str, bool], elements: str) -> None:
    assert read_structure(pdb(tmp_path / "a.pdb"), **choice).elements.tolist() == elements.split()


def test_compressed_and_mmcif_files_say_the_same(tmp_path: Path) -> None:
    plain = pdb(tmp_path / "a.pdb")
    (tmp_path / "a.ent.gz").write_bytes(gzip.compress(plain.read_bytes()))
    structure = gemmi.read_structure(str(plain))
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(tmp_path / "a.cif"))
    (tmp_path / "b.cif.gz").write_bytes(gzip.compress((tmp_path / "a.cif").read_bytes()))
    expected = read_structure(plain, waters=True, assembly="1")
    for name in ("a.ent.gz", "a.cif", "b.cif.gz"):
        atoms = read_structure(tmp_path / name, waters=True, assembly="1")
        assert atoms.elements.tolist() == expected.elements.tolist()
        np.testing.assert_allclose(atoms.positions, expected.positions)
        np.testing.assert_allclose(atoms.bfactor, expected.bfactor)


def test_atoms_of_unknown_element_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    atoms = read_structure(pdb(tmp_path / "a.pdb", [*ROWS, STRANGE]))
    assert atoms.elements.tolist() == ["N", "C", "C", "H", "C", "Mg"]
    assert "1 of 7 atoms have no known element and are left out, the first is QQ" in caplog.text


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_letters_of_other_encodings_and_bytes_behind_the_end(tmp_path: Path, suffix: str) -> None:
    head = "REMARK   1 \u00c5NGSTR\u00d6M\n"
    plain = pdb(tmp_path / "a.pdb", head=head)
    if suffix == ".cif":
        text = gemmi.read_structure(str(plain)).make_mmcif_document().as_string()
        plain = tmp_path / "a.cif"
        plain.write_text(f"# {head}{text}")
    expected = read_structure(plain)
    for encoding in ("utf-8", "latin-1"):
        content = plain.read_text().encode(encoding)
        (tmp_path / f"b{suffix}").write_bytes(content)
        (tmp_path / f"b{suffix}.gz").write_bytes(gzip.compress(content) + b"behind")
        for name in (f"b{suffix}", f"b{suffix}.gz"):
            np.testing.assert_array_equal(read_structure(tmp_path / name).positions, expected.positions)


@pytest.mark.parametrize("name", ["1", 1])
def test_the_assembly_is_built(tmp_path: Path, name: str | int) -> None:
    atoms = read_structure(pdb(tmp_path / "a.pdb"), assembly=name)
    assert len(atoms) == 12
    places = {tuple(place) for place in atoms.positions[atoms.elements == "Mg"]}
    assert places == {(4.0, 2.0, 3.0), (6.0, -2.0, 3.0)}


def refused(path: Path, **choice: str | bool) -> str:
    with pytest.raises(InputError) as caught:
        read_structure(path, **choice)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_refusals(tmp_path: Path) -> None:
    good = pdb(tmp_path / "a.pdb")
    assert "no such file" in refused(tmp_path / "none.pdb")
    assert "a folder" in refused(tmp_path)
    assert "one of 1" in refused(good, assembly="7")
    assert "defines assemblies" in refused(pdb(tmp_path / "b.pdb", head=""), assembly="1")
    gemmi.read_structure(str(good)).make_mmcif_document().write_file(str(tmp_path / "e.cif"))
    assert "cannot be built" in refused(tmp_path / "e.cif", assembly="1")
    assert "no atoms are left" in refused(pdb(tmp_path / "c.pdb", ROWS[-1:]))
    message = refused(pdb(tmp_path / "d.pdb", [STRANGE, ROWS[0], STRANGE]))
    assert "2 of 3 atoms have no known element" in message
    assert "QQ" in message
    assert "12" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pdb", b"Dear reader,\nthis is a letter.\n"),
        ("text.cif", b"Dear reader,\nthis is a letter.\n"),
        ("empty.pdb", b""),
        ("empty.cif", b""),
        ("empty.pdb.gz", b""),
        ("plain.pdb.gz", b"ATOM"),
        ("cut.pdb.gz", gzip.compress(bytes(range(256)) * 20)[:-9]),
        ("sound.pdb", bytes(range(256)) * 20),
    ],
)
def test_what_is_no_structure(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert any(
        reason in message for reason in ("not an atomic model", "holds no atoms", "cut off or damaged")
    )


def test_the_ending_has_to_be_known(tmp_path: Path) -> None:
    path = pdb(tmp_path / "a.pdb").rename(tmp_path / "a.txt")
    assert ".pdb, .ent, .cif, .mmcif" in refused(path)


@pytest.mark.realdata
def test_a_real_structure(shared_data: Path) -> None:
    path = shared_data / "krios_bgal" / "5a1a.pdb.gz"
    assert len(read_structure(path)) == 32920
    assert len(read_structure(path, waters=True)) == 33696
    assert len(read_structure(path, ligands=False, assembly="1")) == 32824


@pytest.mark.parametrize("x", ["     nan", "  xx.yyy", "        "])
def test_coordinates_that_are_no_numbers(tmp_path: Path, x: str) -> None:
    line = f"ATOM      1  C   ALA A   1    {x}   0.000   0.000  1.00 20.00           C\n"
    (tmp_path / "a.pdb").write_text(line + "END\n")
    with pytest.raises(InputError, match="not a finite number") as caught:
        read_structure(tmp_path / "a.pdb")
    assert caught.value.row == 1


@pytest.mark.parametrize("text", ["   inf", "   nan", " 1e300", "  2e4", "-20.00"])
def test_impossible_bfactors_are_refused_at_once(tmp_path: Path, text: str) -> None:
    path = pdb(tmp_path / "a.pdb")
    lines = path.read_text().splitlines()
    atom = next(number for number, line in enumerate(lines) if line.startswith("ATOM"))
    lines[atom] = lines[atom][:60] + text.rjust(6)[:6] + lines[atom][66:]
    path.write_text("\n".join(lines))
    message = refused(path)
    assert "B-factors of 1 of" in message
    assert "0 to 10,000 A^2" in message


def test_a_model_whose_occupancies_are_all_zero(tmp_path: Path) -> None:
    path = pdb(tmp_path / "a.pdb")
    lines = [
        line[:54] + "  0.00" + line[60:] if line.startswith(("ATOM", "HETATM")) else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    message = refused(path)
    assert "have occupancy 0, as programs for molecular dynamics write it" in message
    assert "set them to 1" in message
    assert "waters" not in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("occupancy_zero.pdb", "occupancy 0"),
        ("bfactor_infinite.pdb", "B-factors of 1 of"),
        ("coordinate_1e308.cif", "no possible place"),
    ],
)
def test_faults_as_found(shared_data: Path, name: str, said: str) -> None:
    assert said in refused(shared_data / "faults" / name)


def test_a_few_bytes_that_unpack_to_more_than_any_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryoalign.io.structure._LARGEST", 10**6)
    path = tmp_path / "model.pdb.gz"
    path.write_bytes(gzip.compress(bytes(10**7)))
    with pytest.raises(InputError, match="what is packed is too large") as error:
        read_structure(path)
    assert "1,000,000 bytes" in str(error.value)
