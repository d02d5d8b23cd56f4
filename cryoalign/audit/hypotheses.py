"""What may be wrong with pairs, and the image that each simulated one would have to be then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoalign.audit.geometry import rescale, turns
from cryoalign.audit.poses import views
from cryoalign.audit.transfer import Transfer, applied, claimed_power, ctf_of, undone
from cryoalign.physics.fourier import fourier_resize, irfft2, rfft2, shift
from cryoalign.physics.rotation import euler_to_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cryoalign.audit.sample import Sample

#: Magnifications of the simulated images.
SCALES = (0.5, 0.67, 0.8, 0.85, 0.9, 0.95, 0.975, 1.025, 1.05, 1.1, 1.15, 1.2, 1.25, 1.5, 2.0)
#: Factors on the defocus.
DEFOCUS = (-1.0, 0.1, 0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0, 10.0)
#: Multiples of the claimed shift by which images are moved further.
MOVES = tuple(sign * step for sign in (-1, 1) for step in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0))
_THERE_AND_BACK = 0.975
_STILL = 0.05  # px: shifts that vary less tell nothing
_POSE_BOX = 32  # px: maps made of a few hundred images know no more
IDENTITY = "as given"  # the key of the pairs as they are
#: Ends the name of a hypothesis by which the raw metadata are right, and sim does not follow them.
AS_RAW = " as the raw metadata claim"
#: What is done to images besides the change: the CTF divided out and applied again; interpolated; both.
NEUTRAL_CTF, NEUTRAL_SCALE, NEUTRAL_MAP = "CTF", "scale", "map"


@dataclass(frozen=True)
class Hypothesis:
    """One way in which pairs may be wrong.

    Attributes
    ----------
    key : str
        Short name, unique.
    family : str
        What it concerns: ``contrast``, ``orientation``, ``rows``, ``shift``, ``pixel size``, ``pose``,
        ``CTF``, ``defocus``, ``phase shift``.
    make : callable
        Returns the (n, N, N // 2 + 1) half planes that the simulated images should have been.
    value : float or None
        The factor of a scan.
    neutral : str
        What is done to the images besides the change, see `neutral_images`.
    """

    key: str
    family: str
    make: Callable[[], torch.Tensor]
    value: float | None = None
    neutral: str = ""


def hypotheses(sample: Sample, carried: Transfer, *, poses: bool = True) -> Iterator[Hypothesis]:
    """List every way in which these pairs may be wrong.

    Parameters
    ----------
    sample : Sample
    carried : Transfer
        What the simulated images really carry.
    poses : bool
        Make maps of the simulated images and test the poses: the slowest part.

    Yields
    ------
    Hypothesis
    """
    spectra = rfft2(sample.sims)
    yield Hypothesis("contrast", "contrast", lambda: -spectra)
    for name, turned in turns(sample.sims):
        yield Hypothesis(name, "orientation", partial(rfft2, turned))
        yield Hypothesis(f"{name}, contrast", "orientation", partial(rfft2, -turned))
    for name, images in sample.shifted.items():
        yield Hypothesis(f"row: {name}", "rows", partial(rfft2, images))
    yield from _moves(sample, spectra)
    for scale in SCALES:
        make = partial(_rescaled, sample.sims, scale)
        yield Hypothesis(f"pixel size x {scale:g}", "pixel size", make, scale, NEUTRAL_SCALE)
        make = partial(_map_rescaled, sample, carried, scale)
        yield Hypothesis(f"map x {scale:g}", "pixel size", make, scale, NEUTRAL_MAP)
    yield from _transfers(sample, spectra, carried)
    if sample.disagreement is not None:
        move = torch.from_numpy((sample.sim.shift - sample.raw.shift) / sample.pixel_size).float()
        yield Hypothesis(f"shift{AS_RAW}", "shift", partial(shift, spectra, move, sample.box))
    if poses:
        yield from _poses(sample, carried)


def _rescaled(images: torch.Tensor, scale: float) -> torch.Tensor:
    return rfft2(rescale(images, scale))


def _map_rescaled(sample: Sample, carried: Transfer, *scales: float) -> torch.Tensor:
    """Magnify the specimen by each factor in turn, but neither CTF nor shift."""
    once = ctf_of(sample.sim, sample.box, sample.pixel_size, carried)
    move = torch.from_numpy(sample.sim.shift / sample.pixel_size).float()
    bare_spectra = shift(rfft2(sample.sims) * undone(once, carried), move, sample.box)
    images = irfft2(bare_spectra, sample.box)
    for scale in scales:
        images = rescale(images, scale)
    return shift(rfft2(images) * applied(once, carried), -move, sample.box)


def _poses(sample: Sample, carried: Transfer) -> Iterator[Hypothesis]:
    """Take the poses of either side for their inverses."""
    if sample.disagreement is not None:
        make = partial(posed, sample, carried, inverse_built=False, inverse_wanted=False)
        yield Hypothesis(f"pose{AS_RAW}", "pose", make)
    make = partial(posed, sample, carried, inverse_built=True, inverse_wanted=False)
    yield Hypothesis("pose inverse in sim", "pose", make)
    make = partial(posed, sample, carried, inverse_built=False, inverse_wanted=True)
    yield Hypothesis("pose inverse in the metadata", "pose", make)


def claimed_shift(sample: Sample) -> NDArray[np.float64]:
    """(n, 2) shifts that the raw metadata claim, in px of the sample."""
    shifts: NDArray[np.float64] = sample.raw.shift / sample.pixel_size
    return shifts


def still(sample: Sample) -> bool:
    """Return whether the claimed shifts vary too little to be tested."""
    return bool(claimed_shift(sample).std(0).max() < _STILL)


def _moves(sample: Sample, spectra: torch.Tensor) -> Iterator[Hypothesis]:
    """Move each image by multiples of its own claimed shift, or of one component of it."""
    if still(sample):
        return
    claim = torch.from_numpy(claimed_shift(sample)).float()

    def moved(by: torch.Tensor) -> Callable[[], torch.Tensor]:
        return partial(shift, spectra, by, sample.box)

    original = float(sample.raw.optics_column("pixel_size").mean())
    named = {original - 1, 1 / original - 1, 1 - original, 1 - 1 / original}
    scan = np.array(MOVES)
    more = [value for value in named if 0.1 < abs(value) < 4 and np.abs(scan - value).min() > 0.02]
    for value in sorted({*MOVES, *more}):
        yield Hypothesis(f"shift {value:+.2f}", "shift", moved(-value * claim), value)
    for name, only in (("x", torch.tensor([1.0, 0.0])), ("y", torch.tensor([0.0, 1.0]))):
        for value in (-2.0, 2.0):
            yield Hypothesis(f"shift {value:+.2f} along {name}", "shift", moved(-value * claim * only))
    yield Hypothesis("shift x and y exchanged", "shift", moved(claim - claim.flip(1)))


def _transfers(sample: Sample, spectra: torch.Tensor, carried: Transfer) -> Iterator[Hypothesis]:
    """Replace the CTF that the simulated images carry by another."""
    claimed = Transfer(claimed_power(sample.raw))
    once = ctf_of(sample.sim, sample.box, sample.pixel_size, carried)
    without = undone(once, carried)
    neutral = NEUTRAL_CTF if carried.power > 0 else ""

    def given(transfer: Transfer) -> Callable[[], torch.Tensor]:
        def make() -> torch.Tensor:
            wanted = ctf_of(sample.raw, sample.box, sample.pixel_size, transfer)
            return spectra * without * applied(wanted, transfer)

        return make

    if carried != claimed or sample.disagreement is not None:
        yield Hypothesis(f"CTF{AS_RAW}", "CTF", given(claimed), neutral=neutral)
    if bare(sample):
        return
    yield from _powers(spectra, once, claimed, carried)
    for scale in DEFOCUS:
        if scale != carried.scale:
            make = given(Transfer(claimed.power, scale))
            yield Hypothesis(f"defocus x {scale:g}", "defocus", make, scale, neutral)
    if np.abs(sample.raw.phase_shift).max() > 0:
        for phase in ("radians", "degrees"):
            make = given(Transfer(claimed.power, phase=phase))
            yield Hypothesis(f"phase shift in {phase}", "phase shift", make, neutral=neutral)


def _powers(
    spectra: torch.Tensor, once: torch.Tensor, claimed: Transfer, carried: Transfer
) -> Iterator[Hypothesis]:
    """Apply the CTF more often, or less, or by its sign alone."""

    def times(factor: torch.Tensor) -> Callable[[], torch.Tensor]:
        return lambda: spectra * factor

    yield Hypothesis("CTF once more in raw", "CTF", times(once))
    yield Hypothesis("CTF once less in raw", "CTF", times(undone(once, Transfer(1))), neutral=NEUTRAL_CTF)
    if claimed.power == 2:
        yield Hypothesis("CTF twice more in raw", "CTF", times(once.square()))
        yield Hypothesis(
            "CTF twice less in raw", "CTF", times(undone(once, Transfer(2))), neutral=NEUTRAL_CTF
        )
    elif carried == claimed:
        yield Hypothesis("phases of raw flipped", "CTF", times(once.sign()))


def bare(sample: Sample) -> bool:
    """Return whether the metadata claim a CTF that is the same everywhere, that is none."""
    claimed = ctf_of(sample.raw, sample.box, sample.pixel_size, Transfer(1))
    return bool(claimed.max() - claimed.min() < 0.1)


def neutral_images(sample: Sample, carried: Transfer, kind: str) -> torch.Tensor:
    """Treat images as a hypothesis does, but without its change.

    Dividing by a CTF and interpolating cost correlation where images are clean, and win some by removing
    noise where simulated images have it. Either way that says nothing of the hypothesis.

    Parameters
    ----------
    sample : Sample
    carried : Transfer
        What the simulated images carry.
    kind : str
        `NEUTRAL_CTF`: the CTF is divided out and applied again. `NEUTRAL_SCALE`: images are magnified there
        and back. `NEUTRAL_MAP`: the latter between the two steps of the former.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
    """
    back = (_THERE_AND_BACK, 1 / _THERE_AND_BACK)
    if kind == NEUTRAL_SCALE:
        return rfft2(rescale(rescale(sample.sims, back[0]), back[1]))
    return _map_rescaled(sample, carried, *(back if kind == NEUTRAL_MAP else ()))


def posed(sample: Sample, carried: Transfer, *, inverse_built: bool, inverse_wanted: bool) -> torch.Tensor:
    """Predict images from maps made of the simulated ones.

    Parameters
    ----------
    sample : Sample
    carried : Transfer
        What the simulated images carry.
    inverse_built : bool
        The simulated images are taken as views at the inverse of their poses.
    inverse_wanted : bool
        The images wanted are views at the inverse of the raw poses.

    Returns
    -------
    (n, N, N // 2 + 1) complex tensor
        With the CTF and shift of the simulated images.
    """
    box = min(_POSE_BOX, sample.box)
    pixel_size = sample.pixel_size * sample.box / box
    move = torch.from_numpy(sample.sim.shift / pixel_size).float()
    spectra = shift(rfft2(fourier_resize(sample.sims, box)), move, box)
    transfer = applied(ctf_of(sample.sim, box, pixel_size, carried), carried)
    built, wanted = (euler_to_matrix(torch.from_numpy(p.angles)).float() for p in (sample.sim, sample.raw))
    seen = views(
        spectra, transfer, built.mT if inverse_built else built, wanted.mT if inverse_wanted else wanted
    )
    images = irfft2(shift(seen * transfer, -move, box), box)
    return rfft2(fourier_resize(images, sample.box))
