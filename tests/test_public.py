"""What ``import cryoalign`` offers: three lines of Python, loaded when asked for, visible to mypy."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

import cryoalign
from tests.conftest import REPOSITORY


def test_an_import_brings_nothing_heavy() -> None:
    code = "import sys, cryoalign; print(sorted({'torch', 'numpy', 'pandas', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in cryoalign.__all__ if name != "__version__"])
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(cryoalign, name)
    assert found.__name__ == name
    assert importlib.import_module(found.__module__).__dict__[name] is found
    assert "Parameters\n" in found.__doc__ or "Attributes\n" in found.__doc__
    assert name in dir(cryoalign)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'refine_all'"):
        cryoalign.refine_all  # noqa: B018


def test_a_room_is_its_module_and_no_function() -> None:
    assert not {"simulate", "audit", "train", "export", "evaluate", "report"} & set(cryoalign.__all__)


@pytest.mark.slow
def test_mypy_sees_the_names(tmp_path: Path) -> None:
    names = [name for name in cryoalign.__all__ if name != "__version__"]
    script = tmp_path / "script.py"
    script.write_text("import cryoalign\n" + "".join(f"reveal_type(cryoalign.{name})\n" for name in names))
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(REPOSITORY / ".mypy_cache"), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    revealed = [line for line in done.stdout.splitlines() if "Revealed type is" in line]
    assert len(revealed) == len(names), done.stdout
    assert not [line for line in revealed if '"Any"' in line or '"object"' in line]


def test_three_lines(run: Path) -> None:
    """The lines of the README, on a run of the embedded data set."""
    sim = mrcfile.read(run / "test" / "sim.mrcs")

    generator = cryoalign.load(run)
    fake = generator.refine(sim, seed=5)

    assert fake.shape == sim.shape
    assert fake.dtype == np.float32
    assert not np.array_equal(fake, sim)
    assert np.array_equal(fake, generator.refine(sim, seed=5))


def test_simulate_audit_and_evaluate(run: Path, cache: Path, tmp_path: Path) -> None:
    """Functions do what the commands of their rooms do."""
    # other tests have data sets of other recipes there: this run's is the one with its number of particles
    count = sum(json.loads((run / "data.json").read_text())["pairs"].values())
    made_of = {len(cryoalign.read_particles(path)): path for path in cache.rglob("raw.star")}
    raw = made_of[count]
    (volume,) = raw.parent.glob("*.mrc")
    made = cryoalign.simulate_particles(raw, volume, tmp_path / "sim", progress=False)
    found = cryoalign.audit_pairs(made, raw, sample=40)
    assert found.conclusion.outcome in {"agree", "undecided"}
    assert str(found).splitlines()[0] == found.conclusion.line

    stacks = {kind: run / "test" / f"{kind}.star" for kind in ("fake", "raw", "sim")}
    if len(cryoalign.read_particles(stacks["raw"])) < 20:
        stacks = {"fake": made, "sim": made, "raw": raw}
    judged = cryoalign.evaluate_stacks(**stacks, measures=["spectrum"], draws=100, out=tmp_path / "judged")
    assert list(judged.judged) == ["spectrum"]
    assert judged.judged["spectrum"].quantities["rpsd_l1"].fake.value > 0
    assert (tmp_path / "judged" / "report.html").is_file()
    with pytest.raises(cryoalign.InputError, match="unknown measure"):
        cryoalign.evaluate_stacks(**stacks, measures=["spectra"])


def test_rpsd_takes_arrays_and_is_that_of_the_loss() -> None:
    from cryoalign.losses.rpsd import RPSDLoss

    torch = pytest.importorskip("torch")
    images = np.random.default_rng(1).normal(size=(2, 3, 32, 32))
    found = cryoalign.rpsd(images[0], images[1])
    assert found.shape == (3,)
    loss = RPSDLoss()(torch.from_numpy(images[0])[:, None], torch.from_numpy(images[1])[:, None])
    assert found.mean() == pytest.approx(float(loss), rel=1e-9)
