from __future__ import annotations

import pytest
import torch

from cryoalign.metrics.suite import PairedSuite
from cryoalign.physics import spectrum

BOX = 32
KEYS = ["RPSD_L1", "RPSD_MSE", "pixel_L1", "pixel_MSE"]


def batch(count: int = 5, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sim, fake, raw, other = torch.randn(4, count, 1, BOX, BOX, generator=generator)
    logits = torch.randn(2, count, 1, 6, 6, generator=generator)
    return {
        "sim": sim,
        "fake": fake + sim,
        "raw": 2 * raw,
        "other": other,
        "d_raw": logits[0],
        "d_fake": logits[1],
    }


def part(values: dict[str, torch.Tensor], start: int, stop: int) -> dict[str, torch.Tensor]:
    return {name: value[start:stop] for name, value in values.items()}


def test_an_image_compared_with_itself_is_no_floor() -> None:
    suite = PairedSuite(BOX, floor=True)
    values = {name: image[:1] for name, image in batch().items() if not name.startswith("d_")}
    suite.update(**values | {"other": values["raw"]})
    assert not any(name.startswith("floor_") for name in suite.compute())
    suite.update(**values)
    assert suite.compute()["floor_RPSD_L1"] > 0


def test_values_are_direct_calls_of_the_spectrum() -> None:
    values = batch()
    suite = PairedSuite(BOX, floor=True, discriminator=True)
    for start, stop in ((0, 3), (3, 5)):
        suite.update(**part(values, start, stop))
    found = suite.compute()
    assert set(found) == {
        *(prefix + key for prefix in ("", "sim_", "floor_") for key in KEYS),
        "ring_correlation",
        "D_raw",
        "D_fake",
    }
    expected = {"D_raw": values["d_raw"].mean(), "D_fake": values["d_fake"].mean()}
    raw_curves = spectrum.radial_log_power(values["raw"])
    for prefix, name in (("", "fake"), ("sim_", "sim"), ("floor_", "other")):
        curves = spectrum.radial_log_power(values[name])
        difference = values[name] - values["raw"]
        expected |= {
            f"{prefix}RPSD_L1": spectrum.rpsd_distance(curves, raw_curves, 1).mean(),
            f"{prefix}RPSD_MSE": spectrum.rpsd_distance(curves, raw_curves, 2).mean(),
            f"{prefix}pixel_L1": difference.abs().mean(),
            f"{prefix}pixel_MSE": difference.square().mean(),
        }
    sums = [s.sum((0, 1)) for s in spectrum.ring_correlation_sums(values["fake"], values["sim"])]
    expected["ring_correlation"] = spectrum.correlation_ratio(*sums).mean()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), abs=1e-6), name
        assert found[name].ndim == 0


def test_reset_forgets() -> None:
    suite = PairedSuite(BOX)
    first, second = (part(batch(seed=seed), 0, 5) for seed in (0, 1))
    only = {"sim", "fake", "raw"}
    suite.update(**{k: v for k, v in first.items() if k in only})
    suite.reset()
    suite.update(**{k: v for k, v in second.items() if k in only})
    fresh = PairedSuite(BOX)
    fresh.update(**{k: v for k, v in second.items() if k in only})
    assert suite.compute() == fresh.compute()
    assert set(suite.compute()) == {*KEYS, *(f"sim_{key}" for key in KEYS), "ring_correlation"}


def test_what_the_suite_was_built_for_must_come() -> None:
    values = batch(1)
    pair = {name: values[name] for name in ("sim", "fake", "raw")}
    with pytest.raises(ValueError, match="other raw"):
        PairedSuite(BOX, floor=True).update(**pair)
    with pytest.raises(ValueError, match="logits"):
        PairedSuite(BOX, discriminator=True).update(**pair, d_raw=values["d_raw"])


def test_nothing_of_it_is_saved_or_trained_and_it_follows_its_module() -> None:
    module = torch.nn.Module()
    module.suite = PairedSuite(BOX, floor=True, discriminator=True)
    assert not module.state_dict()
    assert not list(module.parameters())
    assert {m.device.type for m in module.to("meta").suite.modules() if hasattr(m, "_defaults")} == {"meta"}


def test_nan_shows() -> None:
    values = batch(2)
    values["d_fake"][0] = torch.nan
    values["fake"][0, 0, 0, 0] = torch.nan
    suite = PairedSuite(BOX, discriminator=True)
    suite.update(**{name: value for name, value in values.items() if name != "other"})
    found = suite.compute()
    assert found["D_fake"].isnan()
    assert found["RPSD_L1"].isnan()
    assert found["D_raw"].isfinite()
