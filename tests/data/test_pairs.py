"""Pairs are found by name or by row, and never made of what disagrees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryoalign.data.matching_rows import refuse_swapped
from cryoalign.data.pairs import match_pairs
from cryoalign.errors import InputError
from cryoalign.particles import Optics, Particles

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 6


@pytest.fixture
def raw() -> Particles:
    rng = np.random.default_rng(8)
    return Particles.make(
        Path("raw.star"),
        (Optics(1, "a", 1.5, 300.0, 2.7, 0.1, 64), Optics(2, "b", 1.5, 200.0, 2.7, 0.1, 64)),
        COUNT,
        optics_index=np.arange(COUNT) % 2,
        stack=np.array(["Extract/a.mrcs", "Extract/b.mrcs"] * (COUNT // 2)),
        micrograph=np.full(COUNT, "m"),
        angles=rng.uniform([-180, 10, -180], [180, 170, 180], (COUNT, 3)),
        shift=rng.normal(size=(COUNT, 2)),
        defocus=np.tile([12000.0, 11000.0, 30.0], (COUNT, 1)),
        table=pd.DataFrame({"rlnClassNumber": np.arange(COUNT)}),
    )


def _simulated(raw: Particles, names: list[str] | None = None) -> Particles:
    """What a simulator makes of them: its own stack, and the raw names in a column."""
    table = raw.table.assign(rlnImageOriginalName=raw.image_name if names is None else names)
    own = {
        "stack": np.full(len(raw), "sim.mrcs"),
        "slot": np.arange(len(raw)),
        "row": np.arange(len(raw)) + 1,
    }
    return replace(raw, source=Path("sim.star"), table=table, **own)


def _foreign(raw: Particles) -> Particles:
    sim = _simulated(raw)
    return replace(sim, table=sim.table.drop(columns="rlnImageOriginalName"))


def test_by_name_in_any_order(raw: Particles) -> None:
    order = [4, 0, 2]
    sim, matched = match_pairs(_simulated(raw.take(order)), raw)
    assert matched.row.tolist() == [5, 1, 3]
    assert sim.slot.tolist() == [0, 1, 2]
    assert len(matched) == 3  # a raw image without a simulated one is left out


def test_number_and_folder_of_a_name_may_be_written_otherwise(raw: Particles) -> None:
    names = [f"{slot + 1}@/moved/{Path(stack).name}" for slot, stack in zip(raw.slot, raw.stack, strict=True)]
    _, matched = match_pairs(_simulated(raw, names), raw)
    assert matched.row.tolist() == list(range(1, COUNT + 1))


def test_exact_names_come_before_last_parts(raw: Particles) -> None:
    mixed = replace(raw, stack=np.array(["x/a.mrcs", "y/a.mrcs"] * 3), slot=np.arange(COUNT) // 2)
    _, matched = match_pairs(_simulated(mixed), mixed)
    assert matched.row.tolist() == list(range(1, COUNT + 1))


@pytest.mark.parametrize("moved", ["z/a.mrcs", "a.mrcs"])
def test_ambiguous_last_part_is_refused(raw: Particles, moved: str) -> None:
    mixed = replace(raw, stack=np.array(["x/a.mrcs", "y/a.mrcs"] * 3), slot=np.arange(COUNT) // 2)
    with pytest.raises(
        InputError, match=r"sim\.star, row 1: none of the simulated particles has its raw image here"
    ):
        match_pairs(_simulated(mixed, [f"{i // 2 + 1}@{moved}" for i in range(COUNT)]), mixed)


def test_two_names_never_become_one_stack(raw: Particles, caplog: pytest.LogCaptureFixture) -> None:
    single = replace(raw, stack=np.full(COUNT, "x/a.mrcs"))
    names = [f"{i + 1}@{'x' if i < 3 else 'z'}/a.mrcs" for i in range(COUNT)]
    _, matched = match_pairs(_simulated(single, names), single)
    assert matched.row.tolist() == [1, 2, 3]
    assert "3 of 6 simulated particles have no raw image in raw.star and are left out" in caplog.text
    assert "the first in row 4 (rlnImageOriginalName 4@z/a.mrcs)" in caplog.text


def test_raw_that_was_selected_after_the_simulation(raw: Particles, caplog: pytest.LogCaptureFixture) -> None:
    sim, matched = match_pairs(_simulated(raw), raw.take([5, 0, 1, 4]))
    assert sim.row.tolist() == matched.row.tolist() == [1, 2, 5, 6]
    assert "2 of 6 simulated particles have no raw image in raw.star and are left out" in caplog.text
    assert "the first in row 3 (rlnImageOriginalName 000002@" in caplog.text or "000003@" in caplog.text


def test_no_raw_image_is_there(raw: Particles) -> None:
    other = replace(raw, slot=raw.slot + 100)
    with pytest.raises(
        InputError, match=r"sim\.star, row 1: none of the simulated particles(.|\n)*000001@Extract/a"
    ) as e:
        match_pairs(_simulated(raw), other)
    assert "raw.star" in str(e.value)


def _expanded(raw: Particles, copies: int = 3) -> Particles:
    """Each particle in all its symmetric poses, as relion_particle_symmetry_expand writes them."""
    rows = np.repeat(np.arange(len(raw)), copies)
    angles = raw.angles[rows] + np.outer(np.tile(np.arange(copies), len(raw)), [360 / copies, 0, 0])
    return replace(raw.take(rows), angles=angles, row=np.arange(len(rows)) + 1)


def test_symmetry_expansion(raw: Particles) -> None:
    """Rows of one image are told apart by their poses, in any order and also after a selection."""
    raw = _expanded(raw)
    sim = _simulated(raw)
    order = np.random.default_rng(4).permutation(len(raw))
    for some in (np.arange(len(raw)), order, order[:7]):
        found, matched = match_pairs(sim.take(some), raw)
        assert found.row.tolist() == matched.row.tolist() == (some + 1).tolist()
    found, matched = match_pairs(sim, raw.take(order[:7]))
    assert found.row.tolist() == matched.row.tolist() == sorted(order[:7] + 1)


def test_parts_of_one_image_are_told_apart_by_their_shifts(raw: Particles) -> None:
    raw = replace(_expanded(raw, 2), angles=np.repeat(raw.angles, 2, axis=0))
    raw = replace(raw, shift=raw.shift + np.arange(len(raw))[:, None])
    _, matched = match_pairs(_simulated(raw).take([3, 2, 11, 0]), raw)
    assert matched.row.tolist() == [4, 3, 12, 1]


def test_expanded_rows_whose_poses_differ_are_matched_in_order(raw: Particles) -> None:
    raw = _expanded(raw)
    sim = _simulated(replace(raw, angles=raw.angles + np.array([7, 0, 0])))
    with pytest.raises(InputError, match=r"row 1: .* differ in pose \(18 of 18 rows\)"):
        match_pairs(sim, raw)
    with pytest.raises(InputError, match=r"row 2: two raw particles(.|\n)*symmetry expansion"):
        match_pairs(sim.take([0, 3, 6]), raw)


def test_what_relion_project_copies_names_what_raw_was_made_of(raw: Particles) -> None:
    """Particles that were subtracted: raw names the images before, and relion_project copies the column."""
    names = [f"{i + 1:06d}@Extract/before.mrcs" for i in range(COUNT)]
    raw = replace(raw, table=raw.table.assign(rlnImageOriginalName=names))
    projected = _simulated(raw, names)
    for order in ([0, 1, 2, 3, 4, 5], [4, 2, 0]):
        _, matched = match_pairs(projected.take(order), raw)
        assert matched.row.tolist() == [row + 1 for row in order]
    _, matched = match_pairs(_simulated(raw), raw)  # cryoalign's own sims name raw's images
    assert matched.row.tolist() == [1, 2, 3, 4, 5, 6]


def test_swapped_tables(raw: Particles) -> None:
    with pytest.raises(InputError, match="look swapped"):
        refuse_swapped(raw, _simulated(raw))
    refuse_swapped(_simulated(raw), raw)
    before = raw.table.assign(rlnImageOriginalName=[f"{i + 1}@before.mrcs" for i in range(COUNT)])
    refuse_swapped(_foreign(raw), replace(raw, table=before))  # raw may name what it was made of


def test_duplicates(raw: Particles) -> None:
    with pytest.raises(
        InputError, match=r"sim\.star, row 2: two simulated particles(.|\n)*image as in row 1"
    ):
        match_pairs(_simulated(raw.take([2, 2, 0])), raw)
    with pytest.raises(InputError, match=r"raw\.star, row 3: two raw particles(.|\n)*image as in row 3"):
        match_pairs(_simulated(raw), raw.take([0, 1, 2, 3, 4, 5, 2]))
    _, matched = match_pairs(_simulated(raw.take([0, 1])), raw.take([0, 1, 2, 2]))
    assert matched.row.tolist() == [1, 2]  # duplicates that nobody asks for do no harm


@pytest.mark.parametrize("name", ["", "x@a.mrcs"])
def test_name_that_is_none(raw: Particles, name: str) -> None:
    names = raw.image_name.tolist()
    names[3] = name
    with pytest.raises(InputError, match=r"sim\.star, row 4: rlnImageOriginalName"):
        match_pairs(_simulated(raw, names), raw)


def test_row_by_row_without_the_column(raw: Particles) -> None:
    sim, matched = match_pairs(_foreign(raw), raw)
    assert matched.row.tolist() == sim.row.tolist()
    with pytest.raises(InputError, match=r"not as many(.|\n)*6 rows(.|\n)*5 rows"):
        match_pairs(_foreign(raw).take(range(5)), raw)
    with pytest.raises(InputError, match=r"row 1: .*differ in pose \(6 of 6 rows\)"):
        match_pairs(_foreign(raw.take([1, 2, 3, 4, 5, 0])), raw)


def test_the_same_rotation_in_other_angles(raw: Particles) -> None:
    rot, tilt, psi = raw.angles.T
    other = np.column_stack([rot + 180, -tilt, psi - 180])
    match_pairs(replace(_foreign(raw), angles=other), raw)
    match_pairs(replace(_foreign(raw), angles=raw.angles + np.array([360, 0, -360])), raw)
    poles = replace(raw, angles=np.tile([30.0, 0.0, 40.0], (COUNT, 1)))
    match_pairs(replace(_foreign(poles), angles=np.tile([70.0, 0.0, 0.0], (COUNT, 1))), poles)


def test_the_same_defocus_in_other_numbers(raw: Particles) -> None:
    for same in ([12000, 11000, 210], [12000, 11000, -150], [11000, 12000, 120]):
        match_pairs(replace(_foreign(raw), defocus=np.tile(np.array(same, float), (COUNT, 1))), raw)
    stigmatic = replace(raw, defocus=np.tile([12000.0, 12000.0, 30.0], (COUNT, 1)))
    match_pairs(
        replace(_foreign(stigmatic), defocus=np.tile([12000.0, 12000.0, 77.0], (COUNT, 1))), stigmatic
    )


def _turned(angles: np.ndarray, degrees: float) -> np.ndarray:
    turn = Rotation.from_rotvec([0, np.deg2rad(degrees), 0])
    return (Rotation.from_euler("ZYZ", angles, degrees=True) * turn).as_euler("ZYZ", degrees=True)


def _add(*values: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda column: column + np.array(values)


def _changed(column: str, change: Callable[[np.ndarray], Any]) -> Callable[[Particles], Particles]:
    """Change one column in rows 3 and 5."""

    def apply(particles: Particles) -> Particles:
        values = getattr(particles, column).copy()
        values[[2, 4]] = change(values[[2, 4]])
        return replace(particles, **{column: values})

    return apply


def _other_optics(**values: object) -> Callable[[Particles], Particles]:
    def apply(particles: Particles) -> Particles:
        optics = (*particles.optics, replace(particles.optics[0], **values))
        return _changed("optics_index", lambda index: index * 0 + 2)(replace(particles, optics=optics))

    return apply


@pytest.mark.parametrize("make", [_simulated, _foreign])
@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        (
            "pose",
            _changed("angles", lambda a: _turned(a, 0.009)),
            _changed("angles", lambda a: _turned(a, 0.011)),
        ),
        ("shift", _changed("shift", _add(0.0148, 0)), _changed("shift", _add(0, -0.0152))),
        ("defocus", _changed("defocus", _add(0.9, 0.9, 0)), _changed("defocus", _add(1.1, 1.1, 0))),
        ("defocus", _changed("defocus", _add(0, 0, 0.05)), _changed("defocus", _add(0, 0, 0.06))),
        (
            "defocus",
            _changed("defocus", _add(0, 0, 180)),
            _changed("defocus", lambda d: d * np.array([1, 1, -1])),
        ),
        (
            "phase shift",
            _changed("phase_shift", lambda p: p + 0.005),
            _changed("phase_shift", lambda p: p + 0.02),
        ),
        ("voltage", _other_optics(voltage=300.05), _other_optics(voltage=200.0)),
        (
            "spherical aberration",
            _other_optics(spherical_aberration=2.7005),
            _other_optics(spherical_aberration=2.6),
        ),
        (
            "amplitude contrast",
            _other_optics(amplitude_contrast=0.1005),
            _other_optics(amplitude_contrast=0.07),
        ),
        (
            "rlnCtfDataAreCtfPremultiplied",
            _other_optics(name="other"),
            _other_optics(premultiplied=True),
        ),
        ("field of view", _other_optics(pixel_size=1.52), _other_optics(pixel_size=1.54)),
        ("field of view", _other_optics(box_size=32, pixel_size=3.0), _other_optics(box_size=32)),
        (
            "pixel size",
            _other_optics(box_size=None, pixel_size=1.52),
            _other_optics(box_size=None, pixel_size=1.6),
        ),
    ],
)
def test_tolerances(
    raw: Particles,
    make: Callable[[Particles], Particles],
    inside: Callable[[Particles], Particles],
    outside: Callable[[Particles], Particles],
    name: str,
) -> None:
    assert len(match_pairs(inside(make(raw)), raw)[0]) == COUNT
    with pytest.raises(
        InputError, match=rf"sim\.star, row 3: .*{name}.*\(2 of 6 rows\)(.|\n)*in row 3 of raw\.star"
    ):
        match_pairs(outside(make(raw)), raw)


def test_tolerances_are_arguments(raw: Particles) -> None:
    sim = _changed("defocus", _add(50.0, 50.0, 0))(_foreign(raw))
    match_pairs(sim, raw, defocus=51)
    with pytest.raises(InputError, match="49 A is tolerated"):
        match_pairs(sim, raw, defocus=49)
