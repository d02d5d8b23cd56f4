"""A discriminator that sees nothing but the power by ring."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cryoalign.errors import within
from cryoalign.models.discriminator import Discriminator, ProfileView


class RingCritic(Discriminator):
    """Judge the radial log power spectrum of an image beside that of its sim: three linear layers.

    It sees power and its scatter, ring by ring and together; of the pixels nothing, whatever their phases.

    Parameters
    ----------
    box : int
        Image size in px.
    width : int
        Features of the inner layers.
    r1 : float
        Weight of the gradient penalty; see `Discriminator`.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    def __init__(self, box: int, width: int = 64, *, r1: float = 0.0) -> None:
        super().__init__(r1)
        within("discriminator.width", width, 1, whole=True)
        self.view, self.view_of_sim = ProfileView(box), ProfileView(box, of_sim=True)
        self.layers = nn.Sequential(
            nn.Linear(2 * len(self.view.mean), width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, sim: Tensor, image: Tensor) -> Tensor:
        """Judge images.

        Parameters
        ----------
        sim, image : (B, 1, N, N) tensor
            Simulated images, and the raw or fake ones to be judged.

        Returns
        -------
        (B, 1, 1, 1) tensor
            One logit an image.
        """
        profile = torch.cat([self.view_of_sim(sim), self.view(image)], 1)
        logits: Tensor = self.layers(profile)
        return logits[..., None, None]
