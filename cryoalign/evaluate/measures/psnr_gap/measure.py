"""Does a denoiser trained on fakes do as well on raw images as one trained on raw? The PSNR gap.

A denoiser learns the noise and the contrast of what it is shown. One that learned from fakes and their clean
images is asked to denoise raw images; how much worse it is than one that learned from raw images and their
true ones is what the fakes' faults cost in use. It needs the truth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.stats import t

from cryoalign.errors import within
from cryoalign.evaluate.digits import fixed, interval_text
from cryoalign.evaluate.finding import Answer, Finding, Interval, Quantity, by_key, decide, not_asked
from cryoalign.evaluate.measures.psnr_gap.denoiser import squared_errors, train_denoiser
from cryoalign.evaluate.measures.reference import SMALLEST_BOX
from cryoalign.evaluate.measures.two_sample.held_out import two_folds
from cryoalign.evaluate.resampling import TAILS
from cryoalign.io.progress import progress_bar
from cryoalign.physics.fourier import fourier_resize
from cryoalign.physics.threads import side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoalign.evaluate.case import Case

FEWEST = 40
"""Pairs in each half of the groups."""

_QUESTION = "Does a denoiser learn from fakes what it learns from raw?"
_KINDS = ("fake", "raw", "sim", "truth")


class Halves(NamedTuple):
    """Images of the half that is learned from, and of the half that is denoised.

    Attributes
    ----------
    fake, clean : (n, N, N) float32 tensor
        Fakes and the sims they were made of, on the truth's scale.
    raw, truth : (n, N, N) float32 tensor
        Raw images and what they show.
    test_raw, test_truth : (m, N, N) float32 tensor
    test_units : (m,) int64
        Resampling unit of each.
    """

    fake: Tensor
    clean: Tensor
    raw: Tensor
    truth: Tensor
    test_raw: Tensor
    test_truth: Tensor
    test_units: NDArray[np.int64]


class PSNRGapMeasure:
    """Train small denoisers on (raw, truth) and on (fake, sim), and let both denoise other raw images.

    Parameters
    ----------
    images : int
        Pairs at the most, half of which are learned from.
    box : int
        Box size in px to which they are cropped for it.
    steps : int
        Of each training.
    seeds : int
        Trainings of each kind; their errors are averaged.
    limit : float
        Largest gap in dB that passes. 0.1 dB are 2.3 % in the squared error.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    name = "psnr_gap"

    def __init__(
        self, *, images: int = 1000, box: int = 64, steps: int = 600, seeds: int = 3, limit: float = 0.1
    ) -> None:
        key = "measure.psnr_gap"
        self.images = within(f"{key}.images", images, 2 * FEWEST, whole=True)
        self.box = within(f"{key}.box", box, SMALLEST_BOX, whole=True)
        self.steps = within(f"{key}.steps", steps, 1, whole=True)
        self.seeds = within(f"{key}.seeds", seeds, 1, whole=True)
        self.limit = within(f"{key}.limit", limit, 0)

    def __call__(self, case: Case) -> Finding:
        """Judge.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Finding
            Without an answer, and with the reason, where the truth is not known or there are too few pairs.
        """
        if not case.pairs.paired:
            reason = "It needs the truth of raw images, of which fakes of other particles know nothing."
            return Finding(self.name, by_key([not_asked(self.name, _QUESTION, reason)]))
        if not set(_KINDS) <= case.pairs.kinds:
            return Finding(self.name, left_out=("Denoising: no truth was given (truth=).",))
        rows = case.pairs.choose(self.images, case.seed)
        groups = case.pairs.groups[rows]
        if len(np.unique(groups)) < 2 or (np.bincount(two_folds(groups, case.seed)) < FEWEST).any():
            reason = f"Denoising: it needs two groups or more, and {FEWEST} pairs in each half of them."
            return Finding(self.name, left_out=(reason,))
        halves = self._read(case, rows)
        settings = (self.name, self.images, self.box, self.steps, self.seeds, case.seed)
        by_raw = case.floors.find(
            settings, lambda: self._errors(case, halves, halves.raw, halves.truth, "raw")
        )
        by_fake = self._errors(case, halves, halves.fake, halves.clean, "fakes")
        gap = _gap(case, by_fake, by_raw, halves.test_units)
        peak = float(halves.test_truth.max() - halves.test_truth.min())
        reached, floor = (_psnr(case, errors, peak, halves.test_units) for errors in (by_fake, by_raw))
        quantities = [
            Quantity(
                "psnr_gap", "PSNR of a denoiser trained on raw, less that of one trained on fakes", gap,
                unit="dB", target=0.0, lower_is_better=True, note=_by_seed(by_fake, by_raw),
            ),
            Quantity("psnr", "PSNR to the truth of raw images, denoised", reached, floor, unit="dB"),
        ]  # fmt: skip
        return Finding(self.name, by_key([self._answer(gap, reached, floor)]), by_key(quantities))

    def _read(self, case: Case, rows: NDArray[np.int64]) -> Halves:
        """Crop all to the small box, and bring truth and sim to the scale that raw shows the truth with."""
        pairs = case.pairs
        box = min(self.box, pairs.box)
        parts: dict[str, list[Tensor]] = {kind: [] for kind in _KINDS}
        label = "denoising: reading"
        for _, images in pairs.batches(_KINDS, rows=rows, label=label, progress=case.progress):
            for kind in _KINDS:
                parts[kind].append(fourier_resize(images[kind], box))
        of = {kind: torch.cat(values) for kind, values in parts.items()}
        for kind in ("sim", "truth"):
            of[kind] = of[kind] - of[kind].mean((-2, -1), keepdim=True)
        test = two_folds(pairs.groups[rows], case.seed) == 1
        learned, asked = torch.from_numpy(~test), torch.from_numpy(test)
        truth = of["truth"] * _slope(of["truth"][learned], of["raw"][learned])
        clean = of["sim"][learned]
        clean = clean * _slope(clean, truth[learned])
        return Halves(
            of["fake"][learned], clean, of["raw"][learned], truth[learned],
            of["raw"][asked], truth[asked], pairs.units[rows][test],
        )  # fmt: skip

    def _errors(self, case: Case, halves: Halves, noisy: Tensor, clean: Tensor, name: str) -> Tensor:
        """(seeds, m) squared errors on raw images of denoisers that learned from these pairs."""

        def train(number: int) -> Tensor:
            network = train_denoiser(
                noisy, clean, steps=self.steps, seed=case.seed + number, device=case.device
            )
            return squared_errors(network, halves.test_raw, halves.test_truth)

        found = side_by_side(train, range(self.seeds), min(case.threads, self.seeds))
        label = f"denoising: learning from {name}"
        return torch.stack(list(progress_bar(found, label, shown=case.progress, total=self.seeds)))

    def _answer(self, gap: Interval, by_fake: Interval, by_raw: Interval) -> Answer:
        behind = interval_text(gap.value, gap.low, gap.high)
        text = (
            f"A small denoiser trained on fakes is {behind} dB behind one "
            f"trained on raw images: on raw images of other groups they reach {fixed(by_fake.value, 2)} and "
            f"{fixed(by_raw.value, 2)} dB (up to {self.limit:g} dB passes)."
        )
        return Answer(self.name, _QUESTION, decide(gap, self.limit), text, "psnr_gap")


def _slope(given: Tensor, wanted: Tensor) -> float:
    """Least squares: by what to multiply images so that they come closest to others."""
    return float((given.double() * wanted.double()).sum() / given.double().square().sum().clamp_min(1e-30))


def _decibel(ratio: Tensor) -> Tensor:
    return 10 * ratio.log10()


def _by_unit(case: Case, errors: Tensor, units: NDArray[np.int64]) -> Tensor:
    """(units,) squared errors of each unit's images, added up, the mean over the seeds."""
    total = torch.zeros(case.resampling.units, dtype=torch.float64)
    return total.index_add(0, torch.from_numpy(units), errors.mean(0))


def _gap(case: Case, by_fake: Tensor, by_raw: Tensor, units: NDArray[np.int64]) -> Interval:
    """10 log10 of the squared error by fakes over that by raw, with what the choice of the seeds adds."""
    sums = (_by_unit(case, errors, units) for errors in (by_fake, by_raw))
    found = case.resampling.of(lambda fake, raw: _decibel(fake / raw), *sums)
    if len(by_fake) < 2:
        return found
    single = _decibel(by_fake.mean(1) / by_raw.mean(1))
    more = float(t.ppf(1 - TAILS[0], len(single) - 1) * single.std()) / math.sqrt(len(single))
    below, above = (math.hypot(end - found.value, more) for end in (found.low, found.high))
    return Interval(found.value, found.value - below, found.value + above)


def _psnr(case: Case, errors: Tensor, peak: float, units: NDArray[np.int64]) -> Interval:
    count = torch.from_numpy(np.bincount(units, minlength=case.resampling.units).astype(np.float64))
    return case.resampling.of(
        lambda error, images: _decibel(peak**2 * images / error), _by_unit(case, errors, units), count
    )


def _by_seed(by_fake: Tensor, by_raw: Tensor) -> str:
    single = _decibel(by_fake.mean(1) / by_raw.mean(1)).tolist()
    return f"by seed: {', '.join(fixed(value, 2) for value in single)} dB"
