"""Of many images some are kept, evenly spaced, whatever the batches are."""

import pytest
import torch

from cryoalign.models.physical import variation
from cryoalign.models.physical.model import Gain, Model
from cryoalign.models.physical.spectra import Spectra
from cryoalign.physics.half_plane import half_plane

BOX = 16


def batch(numbers: torch.Tensor) -> Spectra:
    shape = (len(numbers), BOX, BOX // 2 + 1)
    white = torch.fft.rfft2(torch.randn(len(numbers), BOX, BOX), norm="ortho")
    known = numbers.float()
    return Spectra(torch.zeros_like(white), white, torch.ones(shape), numbers, known, known, known, numbers)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_images_that_are_kept_are_evenly_spaced(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    rings = len(half_plane(BOX).pixels)
    monkeypatch.setattr(variation, "_MOST", 100)
    gain = Gain(torch.zeros(1), torch.zeros(1, rings), torch.zeros(1))
    flat = torch.ones(BOX, BOX // 2 + 1)
    model = Model(gain, torch.ones(rings), torch.zeros(rings), flat, torch.zeros(2))
    batches = [batch(numbers) for numbers in torch.arange(701).split(size)]
    found, pixels = variation.measure(batches, model, torch.zeros(rings))
    assert found.group.tolist() == list(range(0, 701, 8))
    assert found.u.shape == (88, rings)
    torch.testing.assert_close(pixels, half_plane(BOX).pixels)
