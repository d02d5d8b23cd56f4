"""Grey values: raw by its background, sim by one scale for the training set, both optionally into [-1, 1].

Two steps. *Grey* values are what the exports hold: a raw image has mean 0 and standard deviation 1 outside
the particle's circle (RELION's background normalization), a sim has mean 0 and standard deviation 1 over the
training set. *Network* values are grey values, or, for the paper's setting, grey values mapped linearly into
[-1, 1], image by image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryoalign.errors import InputError, choice, within
from cryoalign.physics.mask import background

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Image = NDArray[np.float32]


class GreyMap(NamedTuple):
    """How one image was mapped to network values.

    Attributes
    ----------
    offset, scale : float
        Its grey value is ``(value - offset) / scale``.
    low, high : float
        The grey values that became -1 and 1.
    clipped : float
        Fraction of its pixels beyond them.
    """

    offset: float
    scale: float
    low: float
    high: float
    clipped: float


@dataclass(frozen=True)
class Normalization:
    """The grey-value maps of one run: fitted on its training set, stored with it, never refitted.

    Attributes
    ----------
    radius : float
        Radius of the particle's circle as a fraction of half the box, 0 to 1; beyond it is background.
    range : str
        ``none`` (network values are grey values), ``minmax`` (each image's extremes become -1 and 1) or
        ``percentiles`` (the `percentiles` become -1 and 1, what lies beyond is clipped and counted).
    percentiles : (float, float)
        Used with ``range=percentiles``.
    sim_offset, sim_scale : float
        Sim's grey value is ``(value - sim_offset) / sim_scale``.
    raw_low, raw_high : float
        Mean over the training set of the grey values that become -1 and 1 in raw: what a fake without a raw
        is mapped back with.
    """

    radius: float = 0.9
    range: str = "none"
    percentiles: tuple[float, float] = (0.5, 99.5)
    sim_offset: float = 0.0
    sim_scale: float = 1.0
    raw_low: float = -1.0
    raw_high: float = 1.0

    def __post_init__(self) -> None:
        given = tuple(self.percentiles)
        if len(given) != 2 or not all(type(value) in (int, float) for value in given):
            raise InputError(
                "data.normalization.percentiles cannot be used",
                expected="two numbers",
                found=list(given),
                remedy="write data.normalization.percentiles=[0.5,99.5]",
            )
        object.__setattr__(self, "percentiles", (float(given[0]), float(given[1])))
        choice("data.normalization.range", self.range, ("none", "minmax", "percentiles"))
        within("data.normalization.radius", self.radius, above=0, most=1)
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise InputError(
                "data.normalization.percentiles are out of order",
                expected="0 <= low < high <= 100",
                found=f"{low}, {high}",
                remedy="write the lower one first, e.g. data.normalization.percentiles=[0.5,99.5]",
            )

    @classmethod
    def fit(cls, sims: Iterable[Image], raws: Iterable[Image], **settings: Any) -> Normalization:
        """Fit sim's scale, and raw's mean range where one is used.

        Parameters
        ----------
        sims, raws : iterable of (N, N) float32
            The images of the training set, in the same order or not.
        **settings
            `radius`, `range`, `percentiles`.

        Returns
        -------
        Normalization
        """
        count, total, squares = 0, 0.0, 0.0
        for image in sims:
            values = image.astype(np.float64)
            count, total, squares = (
                count + values.size,
                total + values.sum(),
                squares + np.square(values).sum(),
            )
        if count == 0:
            raise ValueError("no image to fit the normalization on")
        offset = total / count
        scale = float(np.sqrt(max(squares / count - offset**2, 0.0)))
        if scale == 0.0:
            raise InputError(
                "every simulated image of the training set is constant",
                remedy="check the volume and its pixel size",
            )
        fitted = cls(**settings, sim_offset=float(offset), sim_scale=scale)
        if fitted.range == "none":
            return fitted
        maps = (fitted.raw(image)[1] for image in raws)
        limits = np.array([(used.low, used.high) for used in maps], dtype=np.float64).mean(axis=0)
        return cls(**{**asdict(fitted), "raw_low": float(limits[0]), "raw_high": float(limits[1])})

    def raw(self, image: Image) -> tuple[Image, GreyMap]:
        """Map a measured image to network values.

        Parameters
        ----------
        image : (N, N) float32

        Returns
        -------
        image : (N, N) float32
        parameters : GreyMap
            How it was mapped, and the fraction of pixels clipped.

        Raises
        ------
        InputError
            If the image is constant outside the circle.
        """
        outside = image[background(image.shape[-1], self.radius)].astype(np.float64)
        if outside.min() == outside.max():
            raise InputError(
                "an image is constant outside the particle's circle",
                expected="a background that it can be normalized by",
                remedy="give images that are not masked",
            )
        return self._map(image, float(outside.mean()), float(outside.std()))

    def sim(self, image: Image) -> tuple[Image, GreyMap]:
        """Map a simulated image to network values; see `raw`."""
        return self._map(image, self.sim_offset, self.sim_scale)

    def _map(self, image: Image, offset: float, scale: float) -> tuple[Image, GreyMap]:
        grey = (image.astype(np.float64) - offset) / scale
        if self.range == "none":
            return grey.astype(np.float32), GreyMap(offset, scale, -1.0, 1.0, 0.0)
        low, high = (
            np.percentile(grey, self.percentiles)
            if self.range == "percentiles"
            else (float(grey.min()), float(grey.max()))
        )
        values = 2 * (grey - low) / (high - low) - 1
        clipped = float(np.mean(np.abs(values) > 1 + 1e-9))
        return np.clip(values, -1, 1).astype(np.float32), GreyMap(
            offset, scale, float(low), float(high), clipped
        )

    def grey(self, values: Image) -> Image:
        """Map the network values of fakes to grey values, by the mean range of the training set's raw.

        Parameters
        ----------
        values : (..., N, N) float32

        Returns
        -------
        (..., N, N) float32
        """
        low, high = self.raw_low, self.raw_high
        grey: Image = ((values.astype(np.float64) + 1) / 2 * (high - low) + low).astype(np.float32)
        return grey

    def state(self) -> dict[str, Any]:
        """Return the map as plain values, for JSON."""
        return {**asdict(self), "percentiles": list(self.percentiles)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Normalization:
        """Rebuild the map from `state`."""
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in state.items() if key in known})
