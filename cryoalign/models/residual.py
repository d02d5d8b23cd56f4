"""A small network that corrects the whitened noise of the closed form `Physical`."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from cryoalign.errors import InputError, within
from cryoalign.models.generator import Generator
from cryoalign.models.noise import noise_maps
from cryoalign.models.physical.generator import Physical
from cryoalign.physics.ctf_parameters import ctf_image
from cryoalign.physics.spectrum import ring_count, ring_mean

if TYPE_CHECKING:
    from cryoalign.models.baseline import Baseline
    from cryoalign.models.generator import Metadata

_LAYERS, _KERNEL, _HIDDEN = 5, 5, 32
_PHYSICAL_MAPS = 3
_MAPS = _PHYSICAL_MAPS + _LAYERS - 1
#: Added to a draw's number for the maps of the layers: no epoch and no second draw comes so far.
_OF_LAYERS = 2**32
_SLOPE = 0.2


class Residual(Generator):
    """``physical``, fitted first, with a network on its whitened noise, trained afterwards.

    The white map w of the closed form becomes ``w + network(w, s)``, before it is given its power; s is the
    signal that is left of sim, divided by the root of that power. Five convolutions at full size, each
    but the last followed by a noise map of its own and by a scale and a shift that depend on the particle's
    CTF (FiLM, Perez et al. 2018, arXiv:1709.07871). The last one begins at zero, so the training begins
    with the fakes of the closed form.

    Parameters
    ----------
    box : int
        Image size in px.
    width : int
        Channels of the inner layers; 20 to 60 thousand parameters for 14 to 24 at 64 px.
    noise_channels : int
        7: three of the closed form, and one a layer.
    **physical : optional
        Settings of the closed form; see `Physical`.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    conditions: ClassVar[frozenset[str]] = Physical.conditions

    def __init__(
        self, box: int, width: int = 16, noise_channels: int = _MAPS, **physical: bool | str | float
    ) -> None:
        if noise_channels != _MAPS:
            raise InputError(
                "generator.noise_channels cannot be used",
                expected=f"{_MAPS}: three maps of the closed form, and one a layer",
                found=noise_channels,
            )
        super().__init__(box, noise_channels)
        within("generator.width", width, 1, whole=True)
        # Its noise is corrected in the box of the images, so that it continues across the edges.
        self.physical = Physical(box, **{"edges": False, **physical})  # type: ignore[arg-type]
        channels = [2, *[width] * (_LAYERS - 1), 1]
        self.convolutions = nn.ModuleList(
            # Circular, as the Fourier transform that gives the noise its power.
            nn.Conv2d(above, below, _KERNEL, padding="same", padding_mode="circular")
            for above, below in pairwise(channels)
        )
        self.grain = nn.Parameter(torch.full((_LAYERS - 1, width, 1, 1), 0.1))
        modulation = nn.Linear(_HIDDEN, 2 * width * (_LAYERS - 1))
        self.film = nn.Sequential(nn.Linear(ring_count(box), _HIDDEN), nn.LeakyReLU(_SLOPE), modulation)
        for last in (self.convolutions[-1], modulation):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    @property
    def closed_part(self) -> Baseline:
        """The closed form."""
        return self.physical

    def draw_noise(self, seed: int, index: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Draw the maps of the closed form, the same that it draws by itself, and one for each layer."""
        first = self.physical.draw_noise(seed, index, draw, metadata)
        more = noise_maps(seed, index, draw + _OF_LAYERS, channels=_LAYERS - 1, box=self.box)
        return torch.cat([first, more], 1)

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:
        """Make fakes.

        Parameters
        ----------
        sim : (B, 1, N, N) tensor
        noise : (B, 7, N, N) tensor
            Standard normal.
        metadata : Metadata
            With defocus and the parameters of the CTF.

        Returns
        -------
        (B, 1, N, N) float32 tensor

        Raises
        ------
        ValueError
            If the closed form was not fitted, the metadata are missing, or the noise is of another shape.
        """
        if noise is None or noise.shape[1:] != (_MAPS, *sim.shape[2:]):
            raise ValueError(f"expected {_MAPS} noise maps, found {None if noise is None else noise.shape}")
        if metadata is None or not self.conditions <= metadata.keys():
            raise ValueError("this generator depends on defocus and CTF, but none came")
        maps, layers = noise[:, :_PHYSICAL_MAPS], noise[:, _PHYSICAL_MAPS:]
        white = maps[:, :1]
        correction = self._network(white, sim, layers, metadata)
        return self.physical(sim, torch.cat([white + correction, maps[:, 1:]], 1), metadata)  # type: ignore[no-any-return]

    def _network(self, white: Tensor, sim: Tensor, layers: Tensor, metadata: Metadata) -> Tensor:
        with torch.autocast(sim.device.type, enabled=False):
            ctf = ctf_image(metadata["ctf"], self.box).to(sim.device)
            spectra = torch.fft.rfft2(sim[:, 0].float(), norm="ortho")
            signal = self.physical.model.signal(spectra, metadata["defocus"].to(sim.device))
            signal = signal / self.physical.model.power(ctf).clamp(min=1e-12).sqrt()
            left = torch.fft.irfft2(signal, s=(self.box, self.box), norm="ortho")[:, None]
            profile = ring_mean(ctf.square(), self.box).float()
        features = torch.cat([white, left.to(white)], 1)
        films = self.film(profile).unflatten(1, (_LAYERS - 1, 2, -1))[..., None, None].unbind(1)
        for number, convolution in enumerate(self.convolutions):
            features = convolution(features)
            if number < _LAYERS - 1:
                features = features + self.grain[number] * layers[:, number : number + 1]
                scale, shift = films[number].unbind(1)
                features = nn.functional.leaky_relu((1 + scale) * features + shift, _SLOPE)
        return features
