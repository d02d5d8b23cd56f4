"""What each part found, of a model with known numbers."""

from __future__ import annotations

import math

import torch

from cryoalign.models.physical.covariates import Covariates
from cryoalign.models.physical.findings import findings
from cryoalign.models.physical.innovations import Innovations
from cryoalign.models.physical.model import Gain, Model
from cryoalign.models.physical.modes import Micrographs, Modes, no_modes
from cryoalign.models.physical.variation import Variation
from cryoalign.physics.half_plane import half_plane

RINGS = half_plane(16)
COUNT = len(RINGS.pixels)


def test_each_part_has_its_numbers() -> None:
    pattern = torch.ones(RINGS.ring.shape)
    pattern[::2] += 0.3
    pattern[1::2] -= 0.3
    gain = Gain(torch.tensor([8e3, 2.4e4, math.inf]), torch.ones(3, COUNT), torch.zeros(3))
    following = torch.full((COUNT,), 3.0)
    following[1], following[-1] = 6.0, 0.0
    model = Model(gain, torch.full((COUNT,), 2.0), following, pattern, torch.tensor([6.0, 9.0]))
    within = torch.zeros(COUNT, 16)
    within[4:, 0] = 0.1
    separate = torch.zeros(COUNT)
    separate[:2] = 0.05
    rho = torch.zeros(COUNT)
    rho[2:4] = torch.tensor([0.2, 0.4])
    covariates = Covariates(torch.zeros(3), torch.tensor([1.0, 1.0, 0.0]), torch.full((COUNT, 3), 0.1))
    modes = Modes(torch.zeros(COUNT), within, torch.zeros(COUNT, 16), separate)
    nobody = Micrographs(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 16))
    variation = Variation(covariates, modes, nobody, rho, RINGS.pixels, normalized=True)
    field = torch.zeros(COUNT)
    field[0] = 256 * 0.01  # one frequency of 16 x 16
    assert findings(model, variation, Innovations(-0.2, -0.3), field) == {
        "ctf_noise": "at the CTF's peaks 1.5 times the rest, 0 to 3 times by ring",
        "gain_by_defocus": "fitted at 2 defoci, 0.8 to 2.4 um",
        "ramps": "slopes of 6 along y and 9 along x, of ramps of unit square sum",
        "pattern": "directions differ by 30 %",
        "covariates": "10 % with dose and 10 % with tilt, for a standard deviation of each",
        "variation": "10 % in 1 shape of spectrum, 5 % in 2 rings, each by itself",
        "shared_variation": "0 % in 0 shapes of spectrum",
        "ctf_uncertainty": "0.3 of the noise beside it, on average over 2 rings",
        "skewness": "skewness -0.2, before the noise gets its spectrum",
        "blobs": "dark ones, coarser than 1/4 of the box",
        "modulation": "amplitudes change over an image by 10 %",
        "edges": "made in a box of twice the size",
    }
    none = variation._replace(modes=no_modes(RINGS.pixels), rho=torch.zeros(COUNT))
    assert findings(model, none, Innovations(), field)["variation"] == "0 % in 0 shapes of spectrum"
