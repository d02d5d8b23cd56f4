"""The conditional PatchGAN discriminator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as normalized

from cryoalign.errors import InputError, choice, within
from cryoalign.models.discriminator import Discriminator, RingView
from cryoalign.models.layers import init_normal
from cryoalign.models.ring_critic import RingCritic

FIELDS = (70, 34, 16, 1)
WIDEST = 8  # channels grow with the layer up to this multiple of the width


class PatchGAN(Discriminator):
    """Judge every patch of an image together with the simulation that it should belong to.

    The discriminators of pix2pix (Isola et al. 2017, doi:10.1109/CVPR.2017.632), fully convolutional on the
    concatenation [sim, image]: one logit for each patch of 70, 34, 16 or 1 px. Initial weights are N(0,
    0.02).

    Parameters
    ----------
    box : int
        Image size in px.
    field : {"auto", 70, 34, 16, 1}
        Receptive field of a logit in px; "auto" takes the largest that fits the box.
    width : int
        Channels of the first layer; 64 as published.
    norm : {"instance", "batch", "none"}
        After all layers but the first and the last. pix2pix trained with batch norm and batches of one image,
        which is instance norm, the default: it does not depend on the batch size, has no running statistics
        for DDP to broadcast between D's and G's turn (which breaks the backward pass), and judges raw and
        fake batches alike. It hides the overall scale of (sim, image) from the deeper layers, but not the
        scale of one against the other. Without a norm D sees it all.
    subtract_sim : bool
        Look at ``[image - g(k) sim, sim]``, noise beside its condition, with the gain g that fits raw best.
    whiten : bool
        Divide what it looks at by the mean spectrum of raw; see `RingView`.
    spectral_norm : bool
        Keep the largest singular value of each layer at 1 (Miyato et al. 2018, arXiv:1802.05957).
    batch_statistics : bool
        Show the last layer, as one more channel, the mean over features and patches of their standard
        deviation over the batch (Karras et al. 2018, arXiv:1710.10196): how much images differ.
    rings : bool
        Add the logit of a `RingCritic` to those of the patches, which see no further than their field.
    r1 : float
        Weight of the gradient penalty; see `Discriminator`.

    Raises
    ------
    InputError
        If the field is another, or larger than the box, or the norm is another.
    """

    def __init__(
        self,
        box: int,
        field: Literal["auto", 70, 34, 16, 1] = "auto",
        *,
        width: int = 64,
        norm: Literal["instance", "batch", "none"] = "instance",
        subtract_sim: bool = False,
        whiten: bool = False,
        spectral_norm: bool = False,
        batch_statistics: bool = False,
        rings: bool = False,
        r1: float = 0.0,
    ) -> None:
        super().__init__(r1)
        choice("discriminator.norm", norm, ("instance", "batch", "none"))
        within("discriminator.width", width, 1, whole=True)
        self.field = _fitting_field(box, field)
        self.judges_alone = norm != "batch" and not batch_statistics and not spectral_norm
        if self.field == 1:
            layers = [
                nn.Conv2d(2, width, 1),
                nn.LeakyReLU(0.2),
                *_layer(width, 2 * width, norm, kernel=1),
                nn.Conv2d(2 * width + batch_statistics, 1, 1),
            ]
        else:
            halvings = {16: 1, 34: 2, 70: 3}[self.field]
            channels = [width * min(2**number, WIDEST) for number in range(halvings + 1)]
            layers = [nn.Conv2d(2, width, 4, 2, padding=1), nn.LeakyReLU(0.2)]
            for number in range(1, halvings + 1):
                stride = 2 if number < halvings else 1
                layers += _layer(channels[number - 1], channels[number], norm, kernel=4, stride=stride)
            layers.append(nn.Conv2d(channels[-1] + batch_statistics, 1, 4, 1, padding=1))
        if batch_statistics:
            layers.insert(-1, _BatchDeviation())
        self.layers = nn.Sequential(*layers)
        self.apply(init_normal)
        if spectral_norm:
            for layer in layers:
                if isinstance(layer, nn.Conv2d):
                    normalized(layer)
        self.view = RingView(box, subtract=subtract_sim, whiten=whiten) if subtract_sim or whiten else None
        self.rings = RingCritic(box) if rings else None

    def forward(self, sim: Tensor, image: Tensor) -> Tensor:
        """Judge images.

        Parameters
        ----------
        sim, image : (B, 1, N, N) tensor
            Simulated images, and the raw or fake ones to be judged.

        Returns
        -------
        (B, 1, n, n) tensor
            A logit for each patch; n is about N / 8, N / 4, N / 2 or N for fields of 70, 34, 16 and 1 px.
        """
        seen = (sim, image) if self.view is None else self.view(sim, image)
        logits: Tensor = self.layers(torch.cat(seen, 1))
        return logits if self.rings is None else logits + self.rings(sim, image)


class _BatchDeviation(nn.Module):
    """Add a channel that holds how much the features differ over the batch."""

    def forward(self, features: Tensor) -> Tensor:
        variance = features.var(0, correction=0)
        deviation = (variance + 1e-8).sqrt().mean()
        return torch.cat([features, deviation.expand(len(features), 1, *features.shape[-2:])], 1)


def _layer(inputs: int, outputs: int, norm: str, *, kernel: int, stride: int = 1) -> list[nn.Module]:
    padding = 1 if kernel > 1 else 0
    # Batch norm has an offset of its own; the others do not.
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=norm != "batch")]
    if norm == "batch":
        layers.append(nn.BatchNorm2d(outputs))
    elif norm == "instance":
        layers.append(nn.InstanceNorm2d(outputs))
    return [*layers, nn.LeakyReLU(0.2)]


def _fitting_field(box: int, field: int | str) -> int:
    if field == "auto":
        return next(size for size in FIELDS if size <= box)
    choice("discriminator.field", field, ("auto", *FIELDS))
    if int(field) > box:
        fitting = next(size for size in FIELDS if size <= box)
        raise InputError(
            "the discriminator's receptive field is larger than the box",
            expected=f"{fitting} px or less",
            found=f"{field} px for a box of {box} px",
            remedy=f"set discriminator.field=auto, which takes {fitting}",
        )
    return int(field)
