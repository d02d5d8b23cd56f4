"""What the fit looks at: transforms of pairs with their CTF, and a sample of them in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from cryoalign.physics.ctf_parameters import ctf_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from cryoalign.models.generator import Metadata

_PIXELS = 2**19  # of the half planes of one batch of the sample: what a processor's cache helps with
_BYTES = 2**29  # of the sample
_UNNAMED = 2**62  # larger than any group
_FEWEST, _MOST = 64, 4000  # images of the sample, whatever their size


class Spectra(NamedTuple):
    """Orthonormal transforms of a batch of pairs, and what is known of each.

    Attributes
    ----------
    sim, raw : (B, N, N // 2 + 1) complex64 tensor
        Raw is background-normalized.
    ctf : (B, N, N // 2 + 1) float32 tensor
        Each particle's CTF, once, with its sign.
    group : (B,) int64 tensor
        Number of the micrograph, or of what else stays together when a part is held out.
    defocus, dose, tilt : (B,) float32 tensor
        In A, e/A^2 and degrees; NaN where not known.
    micrograph : (B,) int64 tensor
        Above 0: of its name; below 0: it has none, and the group stands for it.
    """

    sim: Tensor
    raw: Tensor
    ctf: Tensor
    group: Tensor
    defocus: Tensor
    dose: Tensor
    tilt: Tensor
    micrograph: Tensor


def to_spectra(sim: Tensor, raw: Tensor, metadata: Metadata, group: Tensor) -> Spectra:
    """Transform a batch of pairs.

    Parameters
    ----------
    sim, raw : (B, 1, N, N) tensor
        Raw is background-normalized.
    metadata : Metadata
        With defocus and the parameters of the CTF.
    group : (B,) int64 tensor

    Returns
    -------
    Spectra
    """
    left, right = (torch.fft.rfft2(images.squeeze(1).float(), norm="ortho") for images in (sim, raw))
    unknown = torch.full((len(sim),), torch.nan, device=sim.device)
    name = metadata.get("micrograph", torch.zeros_like(group))
    return Spectra(
        left,
        right,
        ctf_image(metadata["ctf"], sim.shape[-1]),
        group,
        metadata["defocus"],
        metadata.get("dose", unknown),
        metadata.get("tilt", unknown),
        torch.where(name != 0, name, group - _UNNAMED),
    )


class Sample:
    """As many pairs as fit into some memory, each kept with the same probability.

    Parameters
    ----------
    box : int
        Image size in px.
    seed : int
        Of the choice.
    size : int, optional
        Most bytes.
    """

    def __init__(self, box: int, *, seed: int = 0, size: int = _BYTES) -> None:
        half = box * (box // 2 + 1)
        self._most = min(max(size // (20 * half), _FEWEST), _MOST)
        self._step = max(_PIXELS // half, 1)
        self._generator = torch.Generator().manual_seed(seed)
        self._tables: list[Tensor] = []
        self._seen = 0

    @property
    def complete(self) -> bool:
        """Whether it holds all pairs that came."""
        return self._seen <= self._most

    def __len__(self) -> int:
        return min(self._seen, self._most)

    def group_by_micrograph(self) -> None:
        """Let micrographs be the groups."""
        _, _, _, group, *_, micrograph = self._tables
        group.copy_(micrograph)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(torch.unique(self._tables[3][: len(self)]))

    def add(self, spectra: Spectra) -> None:
        """Keep some of a batch (reservoir sampling; Vitter 1985, doi:10.1145/3147.3165)."""
        if not self._tables:  # pages that nobody writes to cost nothing
            self._tables = [values.new_empty(self._most, *values.shape[1:]) for values in spectra]
        for row in range(len(spectra.group)):
            place = self._seen
            self._seen += 1
            if place >= self._most:
                place = int(torch.randint(self._seen, (1,), generator=self._generator))
            if place < self._most:
                for table, values in zip(self._tables, spectra, strict=True):
                    table[place] = values[row]

    def __iter__(self) -> Iterator[Spectra]:
        for start in range(0, len(self), self._step):
            part = slice(start, min(start + self._step, len(self)))
            yield Spectra(*(table[part] for table in self._tables))
