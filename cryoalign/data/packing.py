"""Batches on their way from a loader's process: few tensors, since each costs a file of shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.data.dataset import Pair

_IMAGES = ("sim", "raw")
_INSIDE = "metadata"


class Place(NamedTuple):
    """Where a tensor stands among the bytes of all that are small."""

    keys: tuple[str, ...]
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


class Packed(NamedTuple):
    """A batch of three tensors.

    Attributes
    ----------
    sim, raw : (B, 1, N, N) tensor
    small : (n,) uint8 tensor
        All others, one behind the other.
    places : list of Place
    """

    sim: Tensor
    raw: Tensor
    small: Tensor
    places: list[Place]

    def pin_memory(self) -> Packed:
        """Copy it to memory that a GPU can read while the host goes on; a loader calls this."""
        return Packed(self.sim.pin_memory(), self.raw.pin_memory(), self.small.pin_memory(), self.places)


def pack(batch: Pair) -> Packed:
    """Put all that is small into one tensor."""
    entries = cast("dict[str, Any]", batch)
    small: dict[tuple[str, ...], Tensor] = {
        (name,): values for name, values in entries.items() if name not in (*_IMAGES, _INSIDE)
    }
    small |= {(_INSIDE, name): values for name, values in entries[_INSIDE].items()}
    places, parts, start = [], [], 0
    # those of 8 bytes first: a tensor begins at a multiple of its item
    for keys, values in sorted(small.items(), key=lambda entry: -entry[1].itemsize):
        part = values.contiguous().view(-1).view(torch.uint8)
        places.append(Place(keys, values.dtype, tuple(values.shape), start, start + len(part)))
        parts.append(part)
        start += len(part)
    return Packed(batch["sim"], batch["raw"], torch.cat(parts), places)


def moved(batch: Pair, device: torch.device) -> Pair:
    """Bring a batch to a device, from pinned memory while the host goes on."""

    def move(values: dict[str, Any]) -> dict[str, Any]:
        return {
            name: move(entry) if isinstance(entry, dict) else entry.to(device, non_blocking=True)
            for name, entry in values.items()
        }

    return cast("Pair", move(cast("dict[str, Any]", batch)))


def unpack(packed: Packed) -> Pair:
    """Undo `pack`, without copying."""
    found: dict[str, Any] = {"sim": packed.sim, "raw": packed.raw, _INSIDE: {}}
    for keys, dtype, shape, start, end in packed.places:
        values = packed.small[start:end].view(dtype).view(shape)
        (found[_INSIDE] if len(keys) > 1 else found)[keys[-1]] = values
    return cast("Pair", found)
