"""From sims to fakes: what a generator is called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cryoalign.models.noise import noise_maps

if TYPE_CHECKING:
    from torch import Tensor, nn


def generate(
    generator: nn.Module,
    sim: Tensor,
    *,
    seed: int,
    index: Tensor,
    draw: Tensor,
    defocus: Tensor | None = None,
) -> Tensor:
    """Make fakes.

    Parameters
    ----------
    generator : Module
        With an attribute ``noise_channels``. It is called with the sims and their noise maps (None where it
        takes none) and, if its attribute ``uses_defocus`` is true, with the defocus.
    sim : (B, 1, N, N) tensor
        Network values.
    seed : int
        Of the noise maps.
    index, draw : (B,) int64 tensor
        Which particle and which of its draws: which noise.
    defocus : (B,) tensor, optional
        Mean defocus in A.

    Returns
    -------
    (B, 1, N, N) tensor

    Raises
    ------
    ValueError
        If the generator wants a defocus and none came.
    """
    channels = cast("int", generator.noise_channels)
    noise = None
    if channels:
        noise = noise_maps(seed, index, draw, channels=channels, box=sim.shape[-1]).to(sim)
    if not getattr(generator, "uses_defocus", False):
        return cast("Tensor", generator(sim, noise))
    return cast("Tensor", generator(sim, noise, None if defocus is None else defocus.to(sim.device)))
