"""The noise of other particles in place of a model of noise: what perfect noise is worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from cryoalign.errors import InputError, within
from cryoalign.models.baseline import Baseline
from cryoalign.models.physical.fit import PARTS, background_values, with_background
from cryoalign.models.physical.generator import Physical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from cryoalign.models.baseline import Batch
    from cryoalign.models.generator import Metadata

#: The signal is that of `Physical`, whose weights follow the noise's power; no more is asked of the noise.
_ASKED = ("ctf_noise", "gain_by_defocus")
#: What is kept of the metadata of a donor.
_KEPT = ("defocus", "ctf", "dose", "particle")
#: What differs by 1 in these is still alike: defocus in A, dose in e/A^2, phase shift in degrees.
_DEFOCUS, _DOSE, _PHASE_SHIFT = 500.0, 3.0, 5.0
#: Columns of `ctf_parameters` that belong to the microscope, and how far they may differ.
_PHASE, _OPTICS = 3, slice(7, 10)
_SAME_OPTICS = (0.1, 0.01, 0.005)
_OTHER_OPTICS = 1e3  # as a distance: farther than any defocus
_FEWEST = 32  # donors to choose from, where there are so many


class Transplant(Baseline):
    """``fake = g(k) sim + the residual raw - g(k) sim of another particle`` of the training set.

    A ceiling, and not a simulation: its noise is the microscope's in every respect, and belongs to real
    images that are used again. The other particle is of like defocus, dose and optics; which one, depends on
    seed, particle and draw, and it is never the same particle. The gain g is that of `Physical`.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        1: the residual.
    megabytes : float
        Largest size of the residuals that are kept, in MiB; they are spread over the training set.
    radius : float
        Of the particle's circle, as a fraction of half the box: outside, each fake has the mean and the
        standard deviation of raw.

    Attributes
    ----------
    physical : Physical
        The signal, and raw's scale.
    residuals : (K, N, N) float16
        Of background-normalized raw images.
    donor_defocus, donor_ctf, donor_dose, donor_particle : (K, ...)
        Metadata of the particles that they are of.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    conditions: ClassVar[frozenset[str]] = frozenset({"defocus", "ctf", "particle"})
    reuses_noise: ClassVar[bool] = True
    fits_anywhere: ClassVar[bool] = True
    sized_by_fit: ClassVar[tuple[str, ...]] = ("residuals", *(f"donor_{name}" for name in _KEPT))
    residuals: Tensor

    def __init__(
        self, box: int, noise_channels: int = 1, *, megabytes: float = 64, radius: float = 0.9
    ) -> None:
        if noise_channels != 1:
            raise InputError(
                "generator.noise_channels cannot be used",
                expected="1: the noise of this baseline is one residual",
                found=noise_channels,
                remedy="leave generator.noise_channels out",
            )
        super().__init__(box, noise_channels)
        self.most = int(within("generator.megabytes", megabytes, above=0) * 2**20) // (2 * box**2)
        parts = dict.fromkeys((name for name in PARTS if name not in _ASKED), False)
        self.physical = Physical(box, radius=radius, micrograph="new", **parts)
        self.register_buffer("residuals", torch.zeros(0, box, box, dtype=torch.float16))
        for name in _KEPT:
            self.register_buffer(f"donor_{name}", torch.zeros(0))

    @classmethod
    def usual(cls, box: int, radius: float) -> Self:
        """Make one that keeps residuals of the usual size; see `Baseline.usual`."""
        return cls(box, radius=radius)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the signal, then keep residuals in another pass; see `Baseline.fit`.

        Raises
        ------
        ValueError
            If there are fewer than two pairs.
        """
        pairs = _Counted(batches)
        self.physical.fit(pairs)
        if pairs.count < 2:
            raise ValueError("there are no two pairs to fit")
        kept = list(self._residuals(batches, _spread(pairs.count, self.most)))
        self.residuals = torch.cat([values for values, _ in kept])
        for name in _KEPT:
            entries = [cast("dict[str, Tensor]", known)[name] for _, known in kept]
            setattr(self, f"donor_{name}", torch.cat(entries))

    def description(self) -> str:
        """Describe the residuals that are kept."""
        size = self.residuals.numel() * self.residuals.element_size() / 2**20
        return f"the noise of {len(self.residuals)} training images, {size:.0f} MiB"

    def draw_noise(self, seed: int, identity: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Choose the residuals that belong to these particles, (B, 1, N, N) float32."""
        return self.residuals[self.donors(seed, identity, draw, metadata)][:, None].float()

    def donors(self, seed: int, identity: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Choose for each particle the residual of another one.

        Those alike are put in an order that depends on seed and particle, and each draw takes the next one:
        draws of one sim are of different particles, as long as there are enough.

        Parameters
        ----------
        seed, identity, draw, metadata
            As in `Generator.generate`.

        Returns
        -------
        (B,) int64 tensor
            Rows of `residuals`.
        """
        if len(self.residuals) == 0:
            raise ValueError("fit() comes first")
        distance, order = torch.sort(self._distance(metadata), stable=True)
        others = distance.isfinite().sum(1)
        same = (distance < _OTHER_OPTICS).sum(1)
        most = torch.where(same > 0, same, others)
        alike = torch.minimum(torch.clamp((distance <= 1).sum(1), min=_FEWEST), most)
        chosen = []
        for row, (particle, number, count) in enumerate(
            zip(identity.tolist(), draw.tolist(), alike.tolist(), strict=True)
        ):
            if count == 0:
                raise ValueError("all residuals are of the particle itself")
            place = np.random.default_rng([seed, particle]).permutation(count)[number % count]
            chosen.append(order[row, int(place)])
        return torch.stack(chosen) if chosen else order.new_zeros(0)

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:
        """Filter the sims and add residuals.

        Parameters
        ----------
        sim : (B, 1, N, N) tensor
        noise : (B, 1, N, N) tensor
            From `draw_noise`.
        metadata : Metadata
            With the defocus.

        Returns
        -------
        (B, 1, N, N) float32 tensor

        Raises
        ------
        ValueError
            If it was not fitted, the defocus is missing, or the noise is of another shape.
        """
        if len(self.residuals) == 0:
            raise ValueError("fit() comes first")
        if metadata is None or "defocus" not in metadata:
            raise ValueError("this generator depends on the defocus, but none came")
        if noise is None or noise.shape != sim.shape:
            found = None if noise is None else tuple(noise.shape)
            raise ValueError(f"expected noise of shape {tuple(sim.shape)}, found {found}")
        with torch.autocast(sim.device.type, enabled=False):
            fake = self._signal(sim, metadata["defocus"].to(sim.device)) + noise.float()
            return with_background(fake, self.physical.mask, self.physical.scale)

    def _signal(self, sim: Tensor, defocus: Tensor) -> Tensor:
        """G sim with its offset, (B, 1, N, N), background-normalized."""
        spectra = torch.fft.rfft2(sim.squeeze(1).float(), norm="ortho")
        model = self.physical.model.to(sim.device)
        signal: Tensor = torch.fft.irfft2(
            model.signal(spectra, defocus), s=(self.box, self.box), norm="ortho"
        )
        return signal[:, None]

    def _residuals(
        self, batches: Iterable[Batch], chosen: np.ndarray[Any, np.dtype[np.int64]]
    ) -> Iterator[tuple[Tensor, Metadata]]:
        """Yield the chosen residuals of each batch and what is known of their particles."""
        first = 0
        for sim, raw, metadata, _ in batches:
            inside = chosen[(chosen >= first) & (chosen < first + len(sim))] - first
            first += len(sim)
            if not len(inside):
                continue
            rows = torch.from_numpy(inside)
            mean, deviation = background_values(raw[rows], self.physical.mask)
            signal = self._signal(sim[rows], metadata["defocus"][rows])
            left = (raw[rows] - mean) / deviation - signal
            entries = cast("dict[str, Tensor]", metadata)
            known = {name: entries[name][rows].cpu() for name in _KEPT}
            yield left.squeeze(1).half().cpu(), cast("Metadata", known)

    def _distance(self, metadata: Metadata) -> Tensor:
        """(B, K) how far donors are from being alike; infinite for the particle itself."""
        donors = {name: cast("Tensor", getattr(self, f"donor_{name}")).cpu() for name in _KEPT}
        entries = {name: values.cpu() for name, values in cast("dict[str, Tensor]", metadata).items()}

        def apart(name: str, column: int | None = None) -> Tensor:
            ours, theirs = (
                table[name] if column is None else table[name][:, column] for table in (entries, donors)
            )
            return (ours[:, None] - theirs[None]).abs()

        distance = (apart("defocus") / _DEFOCUS).double()
        if "dose" in entries:
            distance = distance + (apart("dose") / _DOSE).nan_to_num(0.0)
        distance = distance + apart("ctf", _PHASE) / _PHASE_SHIFT
        for column, same in zip(range(_OPTICS.start, _OPTICS.stop), _SAME_OPTICS, strict=True):
            distance = distance + _OTHER_OPTICS * (apart("ctf", column) > same)
        itself = entries["particle"][:, None] == donors["particle"][None]
        return distance.masked_fill(itself, math.inf)


class _Counted:
    """Pairs, and how many they are once they were gone through."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches, self.count = batches, 0

    def __iter__(self) -> Iterator[Batch]:
        self.count = 0
        for batch in self._batches:
            self.count += len(batch[0])
            yield batch


def _spread(count: int, most: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Take one row at random from each of `most` equal stretches, all rows where there are no more."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    edges = np.linspace(0, count, max(most, 2) + 1).astype(np.int64)
    rows: np.ndarray[Any, np.dtype[np.int64]] = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    return rows
