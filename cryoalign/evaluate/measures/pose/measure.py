"""Is the pose kept? Where fakes align, compared with where raw images and sims do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.errors import within
from cryoalign.evaluate.digits import interval_text, number
from cryoalign.evaluate.finding import (
    Answer,
    Chart,
    Finding,
    Interval,
    Quantity,
    Series,
    Verdict,
    by_key,
    decide,
    not_asked,
    together,
)
from cryoalign.evaluate.measures.pose.images import align_images
from cryoalign.evaluate.measures.reference import SMALLEST_BOX, reference_for, small_pixel
from cryoalign.physics.alignment import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoalign.evaluate.case import Case
    from cryoalign.evaluate.measures.reference import Reference
    from cryoalign.evaluate.resampling import Resampling
    from cryoalign.physics.alignment import Alignment

QUESTION, QUANTITY = "Is the pose kept?", "pose_angle"
CHANCE = "other1"
"""Raw images of other particles, held against this one's views: what aligning gives where nothing fits."""

_ANGLE, _PIXELS, _WORSE = 3.0, 1.0, 1.5  # material: degrees, px of the small box, times raw's error
_ALIGNABLE, _ALIGNED = 0.75, 0.5  # fractions of chance's error
_FEWEST = 10  # images of a defocus bin
_NEAR = 5.0  # degrees


class PoseMeasure:
    """Align images to a reference near their poses, and compare how far off fakes are with how far raw are.

    Each image is cropped to a small box and held against projections within 24 degrees and 3 px of its pose;
    see `cryoalign.physics.alignment`. Noise makes raw images miss, and fakes may miss as far.

    Parameters
    ----------
    images : int
        Particles that are aligned, at the most.
    box : int
        Small box in px; images that are smaller stay as they are.
    sims : int
        Sims that a reference is made of where none is given, at the most.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "pose"

    def __init__(self, images: int = 150, box: int = 48, sims: int = 1000) -> None:
        self.images = within("measure.pose.images", images, 1, whole=True)
        self.box = within("measure.pose.box", box, SMALLEST_BOX, whole=True)
        self.sims = within("measure.pose.sims", sims, 1, whole=True)

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Answer ``pose``.
        """
        pairs = case.pairs
        if case.volume is None and "sim" not in pairs.kinds:
            reason = "It needs a map to align images to: volume=, or the fakes' own sims (sim=)."
            return Finding(self.name, by_key([not_asked("pose", QUESTION, reason)]))
        box = min(self.box, pairs.box)
        reference = reference_for(case, box, self.sims, case.device)
        rows = pairs.choose(self.images, case.seed)
        kinds = ["fake", "raw", *(["sim"] if "sim" in pairs.kinds else []), CHANCE]
        found = align_images(case, reference, rows, kinds, box)
        pixel_size = small_pixel(pairs, box)
        units, bins = pairs.units[rows], pairs.bins[rows]
        errors = {
            "angle": found.angle,
            "out_of_plane": found.tilt,
            "in_plane": found.turn.abs(),
            "shift": torch.linalg.vector_norm(found.shift, dim=-1) * pixel_size,
        }
        medians = {
            name: {
                kind: case.resampling.of_median(values[:, place].numpy(), units)
                for place, kind in enumerate(kinds)
            }
            for name, values in errors.items()
        }
        quantities = [
            _quantity(
                name,
                medians[name],
                _by_bin(case.resampling, values[:, 0].numpy(), units, bins, pairs.bin_count),
            )
            for name, values in errors.items()
        ]
        near = {
            kind: case.resampling.of_mean((found.angle[:, place] < _NEAR).numpy(), units)
            for place, kind in enumerate(kinds)
        }
        quantities.append(_quantity("within_5_degrees", near, ()))
        return Finding(
            measure=self.name,
            answers=by_key([_answer(medians["angle"], medians["shift"], pixel_size, len(rows), reference)]),
            quantities=by_key(quantities),
            charts=by_key([_chart(found, kinds)]),
        )


_LABELS = {
    "angle": ("angular error, median", "degree"),
    "out_of_plane": ("angle between the beams, median", "degree"),
    "in_plane": ("rotation in the plane, median", "degree"),
    "shift": ("shift error, median", "A"),
    "within_5_degrees": ("images within 5 degrees", ""),
}


def _quantity(name: str, of_kind: dict[str, Interval], bins: tuple[Interval | None, ...]) -> Quantity:
    label, unit = _LABELS[name]
    return Quantity(
        key=f"pose_{name}",
        label=label,
        fake=of_kind["fake"],
        floor=of_kind.get("raw"),
        ceiling=of_kind.get("sim"),
        unit=unit,
        target=1.0 if name.startswith("within") else 0.0,
        bins=bins,
        note=f"raw images of other particles: {of_kind[CHANCE].value:.3g}",
    )


def _by_bin(
    resampling: Resampling,
    values: NDArray[np.float32],
    units: NDArray[np.int64],
    bins: NDArray[np.int64],
    count: int,
) -> tuple[Interval | None, ...]:
    """Medians of each defocus bin that has enough images; nothing where there is one bin only."""
    if count < 2:
        return ()
    chosen = [bins == number for number in range(count)]
    return tuple(
        resampling.of_median(values[of], units[of]) if of.sum() >= _FEWEST else None for of in chosen
    )


def _answer(
    angle: dict[str, Interval],
    shift: dict[str, Interval],
    pixel_size: float,
    count: int,
    reference: Reference,
) -> Answer:
    """Hold fake's errors against raw's; where raw does not align, against chance alone."""
    fake, raw, chance = angle["fake"], angle["raw"], angle[CHANCE]
    text = (
        f"The median fake is {_text(fake, 'degree')} and {_text(shift['fake'], 'A')} off its pose, the "
        f"median raw image {_text(raw, 'degree')} and {_text(shift['raw'], 'A')} ({count} particles, "
        f"{reference.made_of}). "
    )
    if not raw.high < _ALIGNABLE * chance.value:
        fakes_align = fake.high < _ALIGNED * chance.value
        remark = "Fakes do align." if fakes_align else "That says nothing of the fakes."
        text += (
            "Raw images are too noisy or too small to be aligned one by one: those of other particles are "
            f"{chance.value:.0f}° off. {remark}"
        )
        return Answer("pose", QUESTION, Verdict.PASS if fakes_align else Verdict.UNDECIDED, text, QUANTITY)
    most = max(_ANGLE, _WORSE * raw.value)
    furthest = max(_PIXELS * pixel_size, _WORSE * shift["raw"].value)
    verdicts = {
        f"{number(most, 2)}°": decide(fake, most),
        f"{number(furthest, 2)} Å": decide(shift["fake"], furthest),
    }
    verdict = together(*verdicts.values())
    limits = " and ".join(limit for limit, single in verdicts.items() if single is verdict)
    ending = {
        Verdict.PASS: f"That is within {limits}.",
        Verdict.FAIL: f"That is beyond {limits}, more than noise explains.",
        Verdict.UNDECIDED: f"Whether that is beyond {limits} cannot be told from so few.",
    }
    return Answer("pose", QUESTION, verdict, text + ending[verdict], QUANTITY)


def _text(value: Interval, unit: str) -> str:
    return interval_text(value.value, value.low, value.high, unit)


def _chart(found: Alignment, kinds: list[str]) -> Chart:
    """Fractions of the images that are within an angle of their pose."""
    angles = np.arange(0, Search().radius + 7, 1.0)
    series = {}
    for place, kind in enumerate(kinds):
        within = (found.angle[:, place, None].numpy() <= angles).mean(axis=0)
        name = "other raw" if kind == CHANCE else kind
        series[name] = Series(tuple(angles.tolist()), tuple(within.tolist()))
    return Chart(
        key="pose_angles",
        title="Images that align near their pose",
        x_label="angle from the given pose (degree)",
        y_label="fraction of the images within it",
        series=series,
    )
