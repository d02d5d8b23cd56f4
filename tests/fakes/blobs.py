"""A case in memory: a few blobs seen through a microscope, raw images of them, and any fakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cryoalign.data.normalize import Normalization
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.stacks import Probe, Stacks
from cryoalign.particles import Particles
from cryoalign.physics.rotation import euler_to_matrix, matrix_to_euler, rotation_vector_to_matrix
from cryoalign.simulate.weak_phase import WeakPhase
from tests.audit.known_pairs import BOX, PIXEL_SIZE, particles, specimen


class Images:
    """What `cryoalign.data.images.ParticleImages` gives, of a tensor."""

    def __init__(self, images: torch.Tensor, table: Particles) -> None:
        self.values, self.particles = images.float().numpy(), table
        self.box, self.pixel_size = images.shape[-1], PIXEL_SIZE

    def __len__(self) -> int:
        return len(self.values)

    def image(self, row: int) -> np.ndarray:
        return self.values[row]


def views(table: Particles, volume: torch.Tensor | None = None) -> torch.Tensor:
    """(n, N, N) images without noise."""
    seen = WeakPhase(specimen() if volume is None else volume, pixel_size=PIXEL_SIZE, box=BOX)(table)
    return seen / 1.5


def noise(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, BOX, BOX, generator=torch.Generator().manual_seed(seed))


def off_pose(table: Particles, degrees: float) -> Particles:
    """Turn each particle by an angle about an axis of its own."""
    axes = torch.randn(len(table), 3, generator=torch.Generator().manual_seed(8))
    turn = rotation_vector_to_matrix(torch.nn.functional.normalize(axes, dim=1) * np.deg2rad(degrees))
    angles = matrix_to_euler(euler_to_matrix(torch.from_numpy(table.angles)) @ turn.double())
    return replace(table, angles=angles.numpy())


def case(
    table: Particles,
    fakes: torch.Tensor,
    *,
    loud: float = 1.0,
    empty: torch.Tensor | None = None,
    without_domain: torch.Tensor | None = None,
    domain: torch.Tensor | None = None,
    volume: torch.Tensor | None = None,
    normalize: str = "none",
) -> Case:
    """Judge fakes against raw images with noise of standard deviation `loud`."""
    sims = views(table)
    stacks = {"raw": sims + loud * noise(len(table), 100), "sim": sims, "fake": fakes}
    scale = Normalization(sim_scale=float(sims.std()))
    pairs = Stacks(
        particles=table,
        stacks={kind: Images(images, table) for kind, images in stacks.items()},
        normalization={"raw": scale, "sim": scale},
        groups=np.unique(table.micrograph, return_inverse=True)[1].astype(np.int64),
        normalize=normalize,
    )
    probes = {
        name: Probe(Images(images, particles(len(images))))
        if name == "empty"
        else Probe(Images(images, table))
        for name, images in (("empty", empty), ("without_domain", without_domain))
        if images is not None
    }
    return Case(pairs, **probes, domain=domain, volume=volume, voxel_size=PIXEL_SIZE, draws=300)
