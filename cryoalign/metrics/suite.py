"""All metrics of a set of pairs in one module."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torchmetrics import MeanMetric, Metric

from cryoalign.metrics.pixel import PixelDistance
from cryoalign.metrics.ring_correlation import RingCorrelation
from cryoalign.metrics.rpsd import RPSDDistance

if TYPE_CHECKING:
    from torch import Tensor

    from cryoalign.physics.spectrum import Norm


class PairedSuite(nn.Module):
    """Fake against raw, with what is needed to read it: sim against raw, and another raw against raw.

    Make it an attribute of the LightningModule, so that its sums follow the device. All processes must build
    it alike and compute it together.

    Parameters
    ----------
    box : int
        Image size in px.
    floor : bool
        Also compare another raw image of like defocus with raw: what an independent image can reach at best.
    discriminator : bool
        Also average what the discriminator says.
    norm : {"backward", "ortho", "forward"}
        Of the RPSD's Fourier transform.
    """

    def __init__(
        self, box: int, *, floor: bool = False, discriminator: bool = False, norm: Norm = "backward"
    ) -> None:
        super().__init__()
        self.floor, self.discriminator = floor, discriminator
        self.distances = nn.ModuleDict(
            {
                name: nn.ModuleList([RPSDDistance(norm), PixelDistance()])
                for name in ("fake", "sim", *(["floor"] if floor else []))
            }
        )
        self.ring_correlation = RingCorrelation(box)
        # A diverged network must show as NaN, so the check that drops NaN is off.
        self.judgements = nn.ModuleDict(
            {
                name: MeanMetric(nan_strategy="disable").set_dtype(torch.float64)
                for name in (("D_raw", "D_fake") if discriminator else ())
            }
        )

    def update(
        self,
        sim: Tensor,
        fake: Tensor,
        raw: Tensor,
        *,
        other: Tensor | None = None,
        d_raw: Tensor | None = None,
        d_fake: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        sim, fake, raw : (B, 1, N, N) tensor
            Simulated, refined and measured images.
        other : (B, 1, N, N) tensor, optional
            Other measured images; needed if the suite has a floor.
        d_raw, d_fake : (B, ...) tensor, optional
            The discriminator's logits for raw and fake; needed if the suite has a discriminator.

        Raises
        ------
        ValueError
            If something that the suite was built for is missing.
        """
        against_raw = {"fake": fake, "sim": sim}
        if self.floor:
            if other is None:
                raise ValueError("the suite has a floor but no other raw images came")
            against_raw["floor"] = other
        if self.discriminator:
            if d_raw is None or d_fake is None:
                raise ValueError("the suite has a discriminator but no logits came")
            for name, logits in (("D_raw", d_raw), ("D_fake", d_fake)):
                cast("MeanMetric", self.judgements[name]).update(logits.double().flatten(1).mean(1))
        for name, images in against_raw.items():
            for metric in cast("nn.ModuleList", self.distances[name]):
                cast("Metric", metric).update(images, raw)
        self.ring_correlation.update(fake, sim)

    def compute(self) -> dict[str, Tensor]:
        """Return all values.

        Returns
        -------
        dict of str to () float64 tensor
            ``RPSD_L1``, ``RPSD_MSE``, ``pixel_L1``, ``pixel_MSE`` of fake against raw; the same with ``sim_``
            for sim against raw and, if built for, with ``floor_`` for other raw against raw (left out where
            every raw image was compared with itself, since there is no other: that is no floor);
            ``ring_correlation`` of fake with sim, its mean over rings; and, if built for, ``D_raw`` and
            ``D_fake``, means over patches and images.
        """
        values: dict[str, Tensor] = {}
        for name, metrics in self.distances.items():
            prefix = "" if name == "fake" else f"{name}_"
            for metric in cast("nn.ModuleList", metrics):
                found = cast("Metric", metric).compute()
                values |= {f"{prefix}{key}": value for key, value in found.items()}
        if self.floor and values["floor_pixel_L1"] == 0:
            values = {key: value for key, value in values.items() if not key.startswith("floor_")}
        values["ring_correlation"] = self.ring_correlation.compute().mean()
        return values | {
            name: cast("MeanMetric", metric).compute() for name, metric in self.judgements.items()
        }

    def reset(self) -> None:
        """Forget all images."""
        for module in self.modules():
            if isinstance(module, Metric):
                module.reset()
