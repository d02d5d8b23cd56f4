"""Numbers that every device has to find: of an evaluation, and of fits in closed form."""

from __future__ import annotations

import numpy as np
import torch

from cryoalign.evaluate.case import Case
from cryoalign.evaluate.judge import judge
from cryoalign.evaluate.measures.content.measure import ContentMeasure
from cryoalign.evaluate.measures.memorization.measure import MemorizationMeasure
from cryoalign.evaluate.measures.noise.measure import NoiseMeasure
from cryoalign.evaluate.measures.pose.measure import PoseMeasure
from cryoalign.evaluate.measures.psnr_gap.measure import PSNRGapMeasure
from cryoalign.evaluate.measures.spectrum.measure import SpectrumMeasure
from cryoalign.evaluate.measures.two_sample.classifiers import spectral_features
from cryoalign.evaluate.measures.two_sample.measure import TwoSampleMeasure
from cryoalign.models.baselines import BASELINES
from cryoalign.models.generator import map_metadata
from tests.fakes.in_memory import blobs, noise, pairs
from tests.refine.test_refiner import known

BOX, GROUPS = 24, np.repeat(np.arange(8), 15)
MEASURES = {
    "spectrum": SpectrumMeasure(),
    "content": ContentMeasure(),
    "noise": NoiseMeasure(images=60),
    "pose": PoseMeasure(images=3, box=16, sims=20),
    "memorized": MemorizationMeasure(images=60, candidates=60),
    "two_sample": TwoSampleMeasure(epochs=1, classifiers="cnn"),
    "psnr_gap": PSNRGapMeasure(images=120, box=16, steps=3, seeds=1),
}


def judged(device: str) -> dict[str, float]:
    """Every quantity of seven measures, by its key."""
    truth = 2 * blobs(len(GROUPS), BOX, 0)
    stacks = pairs(
        GROUPS, sim=0.5 * truth, truth=truth, raw=truth + noise(len(GROUPS), BOX, 1),
        fake=truth + 0.9 * noise(len(GROUPS), BOX, 2), second_draw=truth + 0.9 * noise(len(GROUPS), BOX, 3),
    )  # fmt: skip
    case = Case(stacks, train=stacks, draws=100, threads=1, device=device)
    found = judge(case, MEASURES)
    assert [finding.measure for finding in found if finding.quantities] == list(MEASURES)
    return {key: entry.fake.value for finding in found for key, entry in finding.quantities.items()}


def features(device: str) -> torch.Tensor:
    """What the classifier on spectra sees."""
    images = noise(9, BOX, 5).to(device)
    return spectral_features(images).cpu()


def fitted(name: str, device: str) -> dict[str, torch.Tensor]:
    """What a baseline keeps of pairs that are on a device."""
    generator = BASELINES[name].usual(BOX, 0.9)
    sim, raw = torch.randn(2, 60, 1, BOX, BOX, generator=torch.Generator().manual_seed(4))
    metadata, micrograph = known(60), torch.arange(60) // 5
    raw = 0.5 * sim + raw * (1 + 0.1 * (micrograph % 3)[:, None, None, None])
    batches = [
        (
            sim[rows].to(device), raw[rows].to(device),
            map_metadata(lambda values, rows=rows: values[rows].to(device), metadata),
            micrograph[rows].to(device),
        )
        for rows in (slice(0, 32), slice(32, 60))
    ]  # fmt: skip
    generator.fit(batches)
    kept = dict(generator.state_dict())
    assert all(values.device.type == "cpu" for values in kept.values())
    return kept
