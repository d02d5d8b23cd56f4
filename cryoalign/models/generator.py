"""What a generator is: the one class that all of them derive from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar, TypedDict, cast

from torch import Tensor, nn

from cryoalign.errors import within
from cryoalign.models.counter_noise import counter_noise
from cryoalign.models.layers import Dropout, dropping
from cryoalign.models.noise import noise_maps, streams

if TYPE_CHECKING:
    from collections.abc import Callable

_DROPOUT = 1  # a purpose beside the noise maps


class Metadata(TypedDict, total=False):
    """What is known of the particles of a batch beside their images; one particle's lacks the first axis.

    Attributes
    ----------
    defocus : (B,) float32
        Mean of defocus U and V in A.
    ctf : (B, P) float64
        Parameters of the CTF, of the images as they are; see `cryoalign.physics.ctf_parameters`.
    dose : (B,) float32
        Exposure before the image in e/A^2; NaN where it is not known.
    tilt : (B,) float32
        Tilt of the stage in degrees; NaN where it is not known.
    micrograph : (B,) int64
        A number that belongs to the name of the micrograph, the same in every file; 0 where there is no name.
    particle : (B,) int64
        A number that belongs to the particle of the sim, the same for every simulation of it.
    identity : (B,) int64
        A number that belongs to the sim, the same wherever it stands, another one for another map or pose:
        what noise depends on; see `cryoalign.io.identity`.
    """

    defocus: Tensor
    ctf: Tensor
    dose: Tensor
    tilt: Tensor
    micrograph: Tensor
    particle: Tensor
    identity: Tensor


def map_metadata(change: Callable[[Tensor], Tensor], metadata: Metadata) -> Metadata:
    """Change every entry in the same way.

    Parameters
    ----------
    change : callable
        From a tensor to a tensor.
    metadata : Metadata

    Returns
    -------
    Metadata
        With the same entries.
    """
    entries = cast("dict[str, Tensor]", metadata)
    return cast("Metadata", {name: change(values) for name, values in entries.items()})


class Generator(nn.Module, ABC):
    """What turns sims into fakes.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        Noise maps that it takes as input, 0 or more.

    Attributes
    ----------
    conditions : frozenset of str
        What it cannot do without beside the sim: names of entries of `Metadata`.
    closed_form : bool
        Whether it is fitted in closed form, and not trained.
    reuses_noise : bool
        Whether the noise of its fakes is that of measured images, which it keeps.
    """

    conditions: ClassVar[frozenset[str]] = frozenset()
    closed_form: ClassVar[bool] = False
    reuses_noise: ClassVar[bool] = False

    def __init__(self, box: int, noise_channels: int) -> None:
        super().__init__()
        within("generator.noise_channels", noise_channels, 0, whole=True)
        self.box, self.noise_channels = box, noise_channels

    @property
    def drops_at_inference(self) -> bool:
        """Whether dropout stays active in use, drawn for each particle as noise maps are."""
        return any(
            isinstance(module, Dropout) and module.at_inference and module.probability > 0
            for module in self.modules()
        )

    @property
    def is_random(self) -> bool:
        """Whether two draws of one sim can differ."""
        return self.noise_channels > 0 or self.drops_at_inference

    @abstractmethod
    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:
        """Make fakes.

        Parameters
        ----------
        sim : (B, 1, box, box) tensor
            Network values.
        noise : (B, noise_channels, box, box) tensor or None
            Standard normal; None where it takes none.
        metadata : Metadata, optional
            Of the particles, with all of its `conditions`.

        Returns
        -------
        (B, 1, box, box) tensor
        """

    def generate(
        self, sim: Tensor, *, seed: int, identity: Tensor, draw: Tensor, metadata: Metadata | None = None
    ) -> Tensor:
        """Make fakes with the noise that belongs to these particles.

        Parameters
        ----------
        sim : (B, 1, box, box) tensor
            Network values.
        seed : int
            Of the noise.
        identity, draw : (B,) int64 tensor
            Who the particle is and which of its draws: which noise.
        metadata : Metadata, optional
            Of the particles.

        Returns
        -------
        (B, 1, box, box) tensor

        Raises
        ------
        ValueError
            If something is missing that it is conditioned on.
        """
        metadata = {} if metadata is None else metadata
        missing = sorted(self.conditions - metadata.keys())
        if missing:
            raise ValueError(f"this generator depends on the {missing[0]}, but none came")
        noise = self.draw_noise(seed, identity, draw, metadata)
        drops = self.drops_at_inference and not self.training
        with dropping(self, streams(seed, identity, draw, _DROPOUT)) if drops else nullcontext():
            fake: Tensor = self(
                sim,
                None if noise is None else noise.to(sim),
                map_metadata(lambda values: values.to(sim.device), metadata),
            )
        return fake

    def draw_noise(self, seed: int, identity: Tensor, draw: Tensor, metadata: Metadata) -> Tensor | None:  # noqa: ARG002
        """Draw the noise maps that belong to these particles.

        In use they are the same on every device, drawn on the CPU; in training, where the device is another,
        on that device: the CPU would take longer than the networks.

        Parameters
        ----------
        seed, identity, draw, metadata
            As in `generate`.

        Returns
        -------
        (B, noise_channels, box, box) tensor or None
            None where it takes none.
        """
        if not self.noise_channels:
            return None
        draws = counter_noise if self.training and identity.device.type != "cpu" else noise_maps
        return draws(seed, identity, draw, channels=self.noise_channels, box=self.box)
