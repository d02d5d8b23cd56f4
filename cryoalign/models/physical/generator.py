"""The generator in closed form: signal and noise as the microscope makes them, by each particle's CTF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from cryoalign.errors import InputError, choice, within
from cryoalign.models.baseline import Baseline
from cryoalign.models.defocus_bins import MOST_KNOTS
from cryoalign.models.noise import noise_maps
from cryoalign.models.physical.choice import Verdict, checked_setting
from cryoalign.models.physical.covariates import Covariates
from cryoalign.models.physical.findings import findings
from cryoalign.models.physical.fit import PARTS, fit, with_background
from cryoalign.models.physical.grain import MAPS, MAPS_OF_LARGER, OF_MICROGRAPH, grain
from cryoalign.models.physical.innovations import Innovations
from cryoalign.models.physical.model import Gain, Model
from cryoalign.models.physical.modes import MOST_MODES, Micrographs, Modes
from cryoalign.models.physical.variation import Variation
from cryoalign.physics.half_plane import half_plane
from cryoalign.physics.mask import background as outside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoalign.models.baseline import Batch
    from cryoalign.models.generator import Metadata
    from cryoalign.models.physical.fit import Fitted


class Physical(Baseline):
    """``fake = g(k) sim + noise``, the noise with a power that follows each particle's own CTF.

    See docs/physical.md for the model. All that is random is made of the noise maps.

    Parameters
    ----------
    box : int
        Image size in px.
    noise_channels : int
        3.
    radius : float
        Of the particle's circle, as a fraction of half the box: outside, each fake has the mean and the
        standard deviation of raw.
    background : bool
        Whether fakes are normalized by their background, as raw is.
    micrograph : str
        ``new``: every micrograph draws what its images have in common; ``known``: one that was seen in the
        fit has what was measured.
    **parts : bool or ``auto``
        Whether the part of this name, one of `PARTS`, is in the model; ``auto``, the default, keeps it where
        it predicts micrographs that were held out better.

    Raises
    ------
    InputError
        If a setting cannot be used.
    """

    conditions: ClassVar[frozenset[str]] = frozenset({"defocus", "ctf"})
    sized_by_fit: ClassVar[tuple[str, ...]] = ("micrograph_name", "micrograph_number")
    fits_anywhere: ClassVar[bool] = True
    defocus: Tensor
    factor: Tensor
    offset: Tensor
    constant: Tensor
    following: Tensor
    pattern: Tensor
    ramps: Tensor
    rho: Tensor
    mean: Tensor
    within: Tensor
    between: Tensor
    separate: Tensor
    covariate_centre: Tensor
    covariate_scale: Tensor
    covariate_slope: Tensor
    micrograph_name: Tensor
    micrograph_number: Tensor
    innovations: Tensor
    modulation: Tensor
    edges: Tensor
    scale: Tensor
    verdicts: Tensor
    ring: Tensor
    mask: Tensor

    def __init__(
        self,
        box: int,
        noise_channels: int = MAPS,
        *,
        radius: float = 0.9,
        background: bool = True,
        micrograph: str = "new",
        **parts: bool | str,
    ) -> None:
        if noise_channels != MAPS:
            raise InputError(
                "generator.noise_channels cannot be used",
                expected=f"{MAPS}: this generator is made of so many noise maps",
                found=noise_channels,
                remedy="leave generator.noise_channels out",
            )
        super().__init__(box, noise_channels)
        within("generator.radius", radius, above=0, most=1)
        for name in parts:
            choice("a part of the generator", name, PARTS)
        self.settings = {name: checked_setting(name, parts.get(name, "auto")) for name in PARTS}
        self.micrograph = choice("generator.micrograph", micrograph, ("new", "known"))
        self.normalizes = background
        rings = half_plane(box)
        count = len(rings.pixels)
        self.register_buffer("ring", rings.ring.clone(), persistent=False)
        self.register_buffer("mask", torch.from_numpy(outside(box, radius).copy()), persistent=False)
        shapes: dict[str, tuple[int, ...]] = {
            "defocus": (MOST_KNOTS,),
            "factor": (MOST_KNOTS, count),
            "offset": (MOST_KNOTS,),
            "constant": (count,),
            "following": (count,),
            "pattern": tuple(rings.ring.shape),
            "ramps": (2,),
            "rho": (count,),
            "mean": (count,),
            "within": (count, MOST_MODES),
            "between": (count, MOST_MODES),
            "separate": (count,),
            "covariate_centre": (3,),
            "covariate_scale": (3,),
            "covariate_slope": (count, 3),
            "micrograph_number": (0, MOST_MODES),
            "innovations": (2,),
            "modulation": (count,),
            "edges": tuple(rings.ring.shape),
            "scale": (2,),
            "verdicts": (len(PARTS), 3),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.full(shape, math.nan))
        self.register_buffer("micrograph_name", torch.zeros(0, dtype=torch.int64))

    @classmethod
    def usual(cls, box: int, radius: float) -> Self:
        """Make one whose parts are all chosen by the fit; see `Baseline.usual`."""
        return cls(box, radius=radius)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the model and choose its parts; see `Baseline.fit` and `cryoalign.models.physical.fit.fit`."""
        self._keep(fit(batches, self.box, self.settings, self.mask, normalize=self.normalizes))

    @property
    def model(self) -> Model:
        """Signal and noise of the mean image, background-normalized."""
        gain = Gain(self.defocus, self.factor, self.offset)
        return Model(gain, self.constant, self.following, self.pattern, self.ramps)

    @property
    def variation(self) -> Variation:
        """What differs from image to image."""
        covariates = Covariates(self.covariate_centre, self.covariate_scale, self.covariate_slope)
        modes = Modes(self.mean, self.within, self.between, self.separate)
        micrographs = Micrographs(self.micrograph_name, self.micrograph_number)
        pixels = half_plane(self.box).pixels
        return Variation(covariates, modes, micrographs, self.rho, pixels, self.normalizes)

    def verdict(self, part: str) -> Verdict:
        """Return what was decided on a part."""
        kept, nats, error = self.verdicts[list(PARTS).index(part)].tolist()
        return Verdict(bool(kept), nats, error)

    @property
    def ends(self) -> bool:
        """Whether the noise ends at the edges of the box, so that it is made in a larger one."""
        return bool(self.verdicts[list(PARTS).index("edges"), 0] == 1)

    @property
    def maps(self) -> int:
        """Number of noise maps that it is made of."""
        return MAPS_OF_LARGER if self.ends else MAPS

    def description(self) -> str:
        """Describe which parts were kept and why, and what they found, a line for each."""
        found = findings(self.model, self.variation, Innovations(*self.innovations.tolist()), self.modulation)
        verdicts = {part: self.verdict(part) for part in PARTS}
        return "\n".join(
            f"{words} ({part}): {verdicts[part].description(self.settings[part])}"
            + (f"; {found[part]}" if verdicts[part].kept else "")
            for part, words in PARTS.items()
        )

    def draw_noise(self, seed: int, identity: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Draw noise maps; what the images of a micrograph share is the same in all of its maps."""
        noise = noise_maps(seed, identity, draw, channels=self.maps, box=self.box)
        if "micrograph" in metadata:
            shared = noise_maps(seed, metadata["micrograph"], draw, channels=MOST_MODES, box=1)
            named = (metadata["micrograph"] != 0).to(shared.device)[:, None]  # 0: which one, is not known
            numbers = noise[:, 2].flatten(1)[:, OF_MICROGRAPH]
            numbers.copy_(torch.where(named, shared.flatten(1), numbers))
        return noise

    def forward(self, sim: Tensor, noise: Tensor | None = None, metadata: Metadata | None = None) -> Tensor:
        """Make fakes.

        Parameters
        ----------
        sim : (B, 1, N, N) tensor
        noise : (B, C, N, N) tensor
            Standard normal; C is `maps`.
        metadata : Metadata
            With defocus and the parameters of the CTF.

        Returns
        -------
        (B, 1, N, N) float32 tensor

        Raises
        ------
        ValueError
            If it was not fitted, the metadata are missing, or the noise is of another shape.
        """
        noise, metadata = self._checked(sim, noise, metadata)
        with torch.autocast(sim.device.type, enabled=False):
            signal = torch.fft.rfft2(sim.squeeze(1).float(), norm="ortho")
            noise_spectra = grain(
                self.model,
                self.variation,
                Innovations(*self.innovations.tolist()),
                noise.float(),
                modulation=self.modulation,
                edges=self.edges if self.ends else None,
                metadata=metadata,
                known=self.micrograph == "known",
            )
            spectra = self.model.signal(signal, metadata["defocus"].to(sim.device)) + noise_spectra
            fake: Tensor = torch.fft.irfft2(spectra, s=(self.box, self.box), norm="ortho")[:, None]
            if not self.normalizes:
                return fake
            return with_background(fake, self.mask, self.scale)

    def _keep(self, fitted: Fitted) -> None:
        """Store what was found."""
        model, (covariates, modes, micrographs, rho, *_) = fitted.model, fitted.variation
        used = len(model.gain.defocus)
        self.defocus.fill_(math.inf)
        self.defocus[:used] = model.gain.defocus
        for buffer, values in ((self.factor, model.gain.factor), (self.offset, model.gain.offset)):
            buffer[:used] = values
            buffer[used:] = values[-1]  # no part in anything, but finite
        for buffer, values in (
            (self.constant, model.constant),
            (self.following, model.following),
            (self.pattern, model.pattern),
            (self.ramps, model.ramps),
            (self.rho, rho),
            (self.mean, modes.mean),
            (self.separate, modes.separate),
            (self.covariate_centre, covariates.centre),
            (self.covariate_scale, covariates.scale),
            (self.covariate_slope, covariates.slope),
            (self.innovations, torch.tensor(fitted.innovations)),
            (self.modulation, fitted.modulation),
            (self.edges, fitted.edges),
            (self.scale, torch.tensor(fitted.background)),
            (self.verdicts, torch.tensor([fitted.verdicts[part] for part in PARTS])),
        ):
            buffer.copy_(values)
        named = micrographs.name > 0
        self.micrograph_name = micrographs.name[named].to(self.mean.device)
        self.micrograph_number = self.mean.new_zeros(len(self.micrograph_name), MOST_MODES)
        for buffer, values in (
            (self.within, modes.within),
            (self.between, modes.between),
            (self.micrograph_number, micrographs.number[named]),
        ):
            buffer.zero_()
            buffer[:, : values.shape[1]] = values

    def _checked(
        self, sim: Tensor, noise: Tensor | None, metadata: Metadata | None
    ) -> tuple[Tensor, Metadata]:
        """Return noise and metadata after checking that there are some, and that there was a fit."""
        if bool(self.constant.isnan().any()):
            raise ValueError("fit() comes first")
        expected = (len(sim), self.maps, *sim.shape[2:])
        if noise is None or noise.shape != expected:
            found = None if noise is None else tuple(noise.shape)
            raise ValueError(f"expected noise of shape {expected}, found {found}")
        if metadata is None or not self.conditions <= metadata.keys():
            raise ValueError("this generator depends on defocus and CTF, but none came")
        return noise, metadata
