"""One pass over the images: what spectra, content and noise are judged by, added up by unit and bin.

Nothing here grows with the number of images. Sums over rings are kept by resampling unit and defocus bin;
sums over the whole plane by at most 16 blocks of units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.physics.fourier import rfft2
from cryoalign.physics.half_plane import product, squared
from cryoalign.physics.mask import background
from cryoalign.physics.spectrum import radial_log_power, ring_sum, rpsd_distance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from cryoalign.evaluate.stacks import Stacks

MOST_BLOCKS = 16
GREY_BINS, GREY_RANGE = 800, (-10.0, 10.0)
"""Grey values are counted in bins between these; those beyond count in the first and the last."""

_SPECTRA = ("fake", "raw", "sim", "truth", "second_draw")
_CROSS = (
    *((kind, "sim") for kind in ("fake", "raw", "second_draw")),
    *((kind, "truth") for kind in ("fake", "raw", "second_draw", "sim")),
    ("fake", "second_draw"),
    ("fake", "raw"),
)
_JUDGED = ("fake", "raw", "sim")


class BackgroundSums(NamedTuple):
    """Images, and sums over them of the mean and the standard deviation of the background, (units,) each."""

    images: Tensor
    mean: Tensor
    deviation: Tensor


@dataclass
class Sums:
    """Sums over images.

    Attributes
    ----------
    box : int
    units, bins, blocks : int
        How many there are.
    count : (units, bins) float64
        Images.
    paired : bool
        Whether all images of a row are of one particle; else there are no products of raw with others, nor
        any of sims where these were not given.
    curve : dict of str to (units, bins, R) float64
        Radial log power spectra s(u), of fake, raw and sim.
    distance : dict of (str, int) to (units, bins) float64
        RPSD L1 (1) and MSE (2) to raw, of fake, sim, other1 and other2.
    power : dict of str to (units, bins, R) float64
        Ring sums of |F|^2 (orthonormal transform).
    cross : dict of (str, str) to (units, bins, R) float64
        Ring sums of Re F_a conj(F_b).
    plane : dict of str to (blocks, N, N // 2 + 1) float64
        |F|^2 of ``fake``, ``raw``, ``sim``; Re F conj(S) of ``fake.sim`` and ``raw.sim``.
    block_count : (blocks,) float64
    total : dict of str to (blocks, N, N // 2 + 1) complex128
        Sums of F of fake, raw and sim.
    outside : dict of str to (blocks, N, N // 2 + 1) complex128
        Unpaired: sums of F of what is outside the particle's circle in fake and raw.
    outside_power : dict of str to (blocks,) float64
        Unpaired: sums over the half plane of the |F|^2 of that.
    grey : dict of str to (units, GREY_BINS) float64
        Histograms of the grey values of fake and raw.
    background : dict of str to BackgroundSums
        Of fake and raw, outside the particle's circle.
    """

    box: int
    units: int
    bins: int
    blocks: int
    count: Tensor
    block_count: Tensor
    paired: bool = True
    curve: dict[str, Tensor] = field(default_factory=dict)
    distance: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    power: dict[str, Tensor] = field(default_factory=dict)
    cross: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    plane: dict[str, Tensor] = field(default_factory=dict)
    total: dict[str, Tensor] = field(default_factory=dict)
    outside: dict[str, Tensor] = field(default_factory=dict)
    outside_power: dict[str, Tensor] = field(default_factory=dict)
    grey: dict[str, Tensor] = field(default_factory=dict)
    background: dict[str, BackgroundSums] = field(default_factory=dict)


def gather(pairs: Stacks, *, size: int | None = None, progress: bool = False, device: str = "cpu") -> Sums:
    """Read every image once and add up.

    Parameters
    ----------
    pairs : Stacks
        With fake, raw and sim; unpaired, sim may be missing.
    size : int, optional
        Images in a batch; see `cryoalign.evaluate.stacks.Stacks.batches`.
    progress : bool
        Show a progress bar.
    device : str
        Where it is added up.

    Returns
    -------
    Sums
        On the CPU.
    """
    units, bins = pairs.unit_count, pairs.bin_count
    blocks = min(MOST_BLOCKS, units)
    count = torch.zeros(units, bins, dtype=torch.float64, device=device)
    sums = Sums(pairs.box, units, bins, blocks, count, count.new_zeros(blocks), pairs.paired)
    outside = torch.from_numpy(background(pairs.box, pairs.normalization["raw"].radius)).to(device)
    kinds = [kind for kind in _SPECTRA if kind in pairs.kinds] + ["other1", "other2"]
    batches = pairs.batches(kinds, size=size, label="reading all pairs", progress=progress)
    for rows, read in batches:
        images = {kind: values.to(device) for kind, values in read.items()}
        unit, in_bin = (torch.from_numpy(of[rows]).to(device) for of in (pairs.units, pairs.bins))
        cell, block = unit * bins + in_bin, unit % blocks
        one = count.new_ones(len(rows))
        _add(sums, "count", None, cell, one)
        sums.block_count.index_add_(0, block, one)
        _distances(sums, images, cell)
        spectra = {kind: rfft2(images[kind]) / pairs.box for kind in kinds if kind in _SPECTRA}
        _rings(sums, spectra, cell)
        _planes(sums, spectra, block)
        for kind in ("fake", "raw"):
            _grey_values(sums, kind, images[kind], outside, unit)
            if not pairs.paired:
                _outside(sums, kind, images[kind] * outside, block)
    return _on_cpu(sums)


def _on_cpu(sums: Sums) -> Sums:
    """Bring all sums to the CPU."""

    def moved(value: object) -> object:
        if isinstance(value, torch.Tensor):
            return value.cpu()
        if isinstance(value, BackgroundSums):
            return BackgroundSums(*(part.cpu() for part in value))
        return {key: moved(part) for key, part in value.items()} if isinstance(value, dict) else value

    for entry in fields(sums):
        setattr(sums, entry.name, moved(getattr(sums, entry.name)))
    return sums


def _add(sums: Sums, name: str, key: object, cell: Tensor, values: Tensor) -> None:
    """Add (B, ...) values to the cells of one of the sums by unit and bin, made when first met."""
    if key is None:
        table: Tensor = getattr(sums, name)
    else:
        tables = getattr(sums, name)
        if key not in tables:
            tables[key] = sums.count.new_zeros(sums.units, sums.bins, *values.shape[1:])
        table = tables[key]
    table.view(-1, *values.shape[1:]).index_add_(0, cell, values.double())


def _distances(sums: Sums, images: Mapping[str, Tensor], cell: Tensor) -> None:
    kinds = [kind for kind in ("fake", "sim", "raw", "other1", "other2") if kind in images]
    curves = {kind: radial_log_power(images[kind]) for kind in kinds}
    for kind, curve in curves.items():
        if kind != "raw":
            for power in (1, 2):
                _add(sums, "distance", (kind, power), cell, rpsd_distance(curve, curves["raw"], power))
        if kind not in {"other1", "other2"}:
            _add(sums, "curve", kind, cell, curve)


def _rings(sums: Sums, spectra: Mapping[str, Tensor], cell: Tensor) -> None:
    for kind, spectrum in spectra.items():
        _add(sums, "power", kind, cell, ring_sum(squared(spectrum), sums.box))
    for a, b in _CROSS:
        if a in spectra and b in spectra and (sums.paired or "raw" not in {a, b}):
            _add(sums, "cross", (a, b), cell, ring_sum(product(spectra[a], spectra[b]), sums.box))


def _planes(sums: Sums, spectra: Mapping[str, Tensor], block: Tensor) -> None:
    kinds = [kind for kind in _JUDGED if kind in spectra]
    values = {kind: squared(spectra[kind]) for kind in kinds}
    shown = ("fake", "raw") if sums.paired else ("fake",) if "sim" in kinds else ()
    values |= {f"{kind}.sim": product(spectra[kind], spectra["sim"]) for kind in shown}
    for kind, plane in values.items():
        _add_plane(sums.plane, kind, block, plane.double(), sums.blocks)
    for kind in kinds:
        _add_plane(sums.total, kind, block, spectra[kind].to(torch.complex128), sums.blocks)


def _outside(sums: Sums, kind: str, masked: Tensor, block: Tensor) -> None:
    spectra = rfft2(masked) / sums.box
    spectra[:, 0, 0] = 0
    _add_plane(sums.outside, kind, block, spectra.to(torch.complex128), sums.blocks)
    _add_plane(sums.outside_power, kind, block, squared(spectra).double().sum((1, 2)), sums.blocks)


def _add_plane(tables: dict[str, Tensor], key: str, block: Tensor, values: Tensor, blocks: int) -> None:
    if key not in tables:
        tables[key] = values.new_zeros(blocks, *values.shape[1:])
    tables[key].index_add_(0, block, values)


def _grey_values(sums: Sums, kind: str, images: Tensor, outside: Tensor, unit: Tensor) -> None:
    low, high = GREY_RANGE
    place = ((images.double() - low) / (high - low) * GREY_BINS).floor().clamp(0, GREY_BINS - 1).long()
    flat = unit[:, None] * GREY_BINS + place.flatten(1)
    counts = torch.bincount(flat.flatten(), minlength=sums.units * GREY_BINS).double()
    background = images[:, outside].double()
    found = (background.new_ones(len(images)), background.mean(1), background.std(1, unbiased=False))
    if kind not in sums.grey:
        sums.grey[kind] = sums.count.new_zeros(sums.units, GREY_BINS)
        sums.background[kind] = BackgroundSums(*sums.count.new_zeros(3, sums.units))
    sums.grey[kind] += counts.view(sums.units, GREY_BINS)
    for total, values in zip(sums.background[kind], found, strict=True):
        total.index_add_(0, unit, values.double())


def by_block(values: Tensor, blocks: int) -> Tensor:
    """Add up (units, ...) sums to (blocks, ...): unit u belongs to block u modulo their number."""
    return torch.stack([values[place::blocks].sum(0) for place in range(blocks)])
