"""The referee through the command line: stacks of any program, and a run with its baselines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mrcfile
import numpy as np
import pytest
import torch

from cryoalign.io.relion import read_particles, write_particles
from cryoalign.physics.spectrum import radial_log_power, rpsd_distance
from tests.evaluate.parsing import Page
from tests.fakes.known import Known

if TYPE_CHECKING:
    from tests.conftest import Cli, Done

FAST = ("progress=false", "draws=200")
OF_IMAGES = ("power_spread", "skewness", "modulation", "in_ring", "noise_ctf", "edges")
HONEST = ("spectrum", "peaks", "content", "truth", "noise", "grey", "shared", "copied", "repeated")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw, sim and truth of a small known set, and honest fakes as stacks."""
    known, made = Known(box=32, count=160, micrographs=16), tmp_path_factory.mktemp("stacks")
    known.write_common(made)
    part = known.particles.take(known.judged)
    for stream, name in ((1, "fake"), (2, "second_draw")):
        images = known.normalized(known.truth[known.judged] + known.noise(known.count, stream))
        known.write(made, name, images, part)
    return made


def judge(cli: Cli, folder: Path, *options: str, **files: str) -> Done:
    names = {"fake": "fake", "raw": "raw", "sim": "sim"} | files
    return cli("evaluate", *(f"{kind}={folder / name}.star" for kind, name in names.items()), *FAST, *options)


def document(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "evaluation.json").read_text())
    return found


def test_honest_fakes_pass_in_a_report(cli: Cli, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = judge(
        cli, folder, "out=new", "measures=[spectrum,content,noise]", second_draw="second_draw", truth="truth"
    )
    assert done.code == 0, done.err
    found = document(Path("new"))
    answers = {
        key: answer
        for measure in found["candidates"]["fake"]["measures"].values()
        for key, answer in measure["answers"].items()
    }
    verdicts = {key: answer["verdict"] for key, answer in answers.items()}
    assert verdicts == dict.fromkeys(HONEST + OF_IMAGES, "pass")
    assert found["facts"]["pairs"] == 160
    assert found["facts"]["groups"] == 16
    fake, raw = (torch.from_numpy(mrcfile.read(folder / f"{name}.mrcs").copy()) for name in ("fake", "raw"))
    expected = float(rpsd_distance(radial_log_power(fake), radial_log_power(raw)).mean())
    quantities = found["candidates"]["fake"]["measures"]["spectrum"]["quantities"]
    assert math.isclose(quantities["rpsd_l1"]["fake"]["value"], expected, rel_tol=1e-4)
    page = Page(Path("new/report.html").read_text())
    text = " ".join(" ".join(page.words).split())
    for answer in answers.values():
        assert answer["question"] in text
        assert answer["explanation"] in text
        assert answer["explanation"] in done.out
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_sims_as_they_are_fail(cli: Cli, folder: Path) -> None:
    done = judge(cli, folder, "measures=[spectrum,noise]", fake="sim")
    assert done.code == 0, done.err
    found = document(Path("evaluation"))["candidates"]["fake"]["measures"]
    assert found["spectrum"]["answers"]["spectrum"]["verdict"] == "fail"
    assert found["noise"]["answers"]["noise"]["verdict"] == "fail"
    assert judge(cli, folder, "measures=[spectrum]").code == 1  # the folder is there


def test_the_same_seed_gives_the_same_numbers(cli: Cli, folder: Path) -> None:
    for name in ("one", "two"):
        assert judge(cli, folder, f"out={name}", "device=cpu", "measures=[spectrum,content]").code == 0
    one, two = (document(Path(name)) for name in ("one", "two"))
    assert (one["candidates"], one["facts"]["device"]) == (two["candidates"], "cpu")


def test_one_micrograph(cli: Cli, tmp_path: Path) -> None:
    """It is judged, with a note on the intervals; what needs several says so."""
    known = Known(box=32, count=40, micrographs=1)
    part = known.particles.take(known.judged)
    for name, images in (("raw", known.raw), ("sim", known.sims), ("fake", known.raw)):
        known.write(tmp_path, name, images[known.judged], part)
    done = judge(cli, tmp_path, "measures=[spectrum,two_sample,memorized,invented]")
    assert done.code == 0, done.err
    found = document(tmp_path / "evaluation")
    assert "fewer than eight groups" in found["facts"]["notes"][0]
    measures = found["candidates"]["fake"]["measures"]
    assert measures["spectrum"]["quantities"]["rpsd_l1"]["fake"]["low"] is not None
    for name, wanted in (("two_sample", "group"), ("memorized", "train"), ("invented", "fakes of sims")):
        assert any(wanted in sentence for sentence in measures[name]["left_out"]), measures[name]["left_out"]
        assert "left out" in done.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["fake=X.star", "sim=Y.star"], ["raw was not given", "expected: run=RUN_DIR", "remedy"]),
        ([], ["fake, raw was not given"]),
        (["run=X", "fake=Y.star"], ["two things", "either run= or fake="]),
        (["run=X", "box=24", "train.raw=Y.star"], ["a run cannot be judged with box=, train=", "--help"]),
        (["fake=X.star", "raw=Y.star", "part=test"], ["stacks cannot be judged with part="]),
        (["run=X", "baselines=[gan]"], ["no such baseline", "spectral"]),
        (["fake=X.star", "raw=Y.star", "sim=none.star"], ["none.star: there is no such file"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "measures=[spectra]"], ["unknown measure", "spectrum"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "measures=[]"], ["nothing to measure"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "draws=3"], ["draws of 100 or more"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "seed=-1"], ["seed is out of range"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "threads=-2"], ["threads is out of range"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "measures=spectra"], ["found: spectra"]),
        (["fake=X.star", "raw=Y.star", "sim=Z.star", "normalize=all"], ["normalize", "both"]),
    ],
)
def test_what_cannot_be_judged(cli: Cli, options: list[str], says: list[str], tmp_path: Path) -> None:
    (tmp_path / "X").mkdir()
    for name in ("X.star", "Y.star", "Z.star", "X/config.yaml", "X/data.json"):
        (tmp_path / name).touch()
    done = cli("evaluate", *options)
    assert done.code == 1
    for words in says:
        assert words in done.err
    assert "Traceback" not in done.err
    assert len(list(tmp_path.iterdir())) == 4


def test_three_particles(cli: Cli, tmp_path: Path) -> None:
    known = Known(box=32, count=4, micrographs=2)
    part = known.particles.take(np.arange(3))
    for name, images in (("raw", known.raw), ("sim", known.sims), ("fake", known.raw)):
        known.write(tmp_path, name, images[:3], part)
    done = judge(cli, tmp_path)
    assert done.code == 1
    assert "too few pairs to judge" in done.err
    assert not (tmp_path / "evaluation").exists()


def test_an_image_that_cannot_be_used_is_named_and_nothing_is_written(
    cli: Cli, folder: Path, tmp_path: Path
) -> None:
    known = Known(box=32, count=160, micrographs=16)
    images = known.raw[known.judged].clone()
    images[5, 3, 3] = float("nan")
    known.write(tmp_path, "fake", images, known.particles.take(known.judged))
    done = cli(
        "evaluate",
        f"fake={tmp_path / 'fake.star'}",
        f"raw={folder / 'raw.star'}",
        f"sim={folder / 'sim.star'}",
        "measures=[spectrum]",
        *FAST,
    )
    assert done.code == 1
    assert "image 6 of" in done.err
    assert "fake.star, row 6" in done.err
    assert not (tmp_path / "evaluation").exists()


def test_fakes_on_the_scale_that_raw_had(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """Raw against itself on its own scale: the reader is told why grey values fail, and what to do."""
    known = Known(box=32, count=160, micrographs=16)
    part = known.particles.take(known.judged)
    for name in ("raw", "fake"):
        known.write(tmp_path, name, 0.5 * known.raw[known.judged] + 3, part)
    files = [f"{name}={tmp_path / name}.star" for name in ("fake", "raw")] + [f"sim={folder / 'sim.star'}"]
    done = cli("evaluate", *files, "measures=[noise]", "out=one", *FAST)
    assert "background of mean 3 and standard deviation 0.5" in " ".join(done.out.split())
    assert "normalize=both" in done.out
    answers = document(tmp_path / "one")["candidates"]["fake"]["measures"]["noise"]["answers"]
    assert answers["grey"]["verdict"] == "fail"
    assert answers["copied"]["verdict"] == "fail"
    assert cli("evaluate", *files, "measures=[noise]", "out=two", "normalize=both", *FAST).code == 0
    answers = document(tmp_path / "two")["candidates"]["fake"]["measures"]["noise"]["answers"]
    assert answers["grey"]["verdict"] == "pass"
    assert answers["copied"]["verdict"] == "fail"  # it is raw itself


def test_stacks_of_different_length(cli: Cli, folder: Path, tmp_path: Path) -> None:
    known = Known(box=32, count=160, micrographs=16)
    known.write(tmp_path, "sim", known.sims[:100], known.particles.take(np.arange(100)))
    done = cli(
        "evaluate",
        f"fake={folder / 'fake.star'}",
        f"raw={folder / 'raw.star'}",
        f"sim={tmp_path / 'sim.star'}",
        "progress=false",
    )
    assert done.code == 1
    assert "60 of 160 particles are not in this file" in done.err
    assert "sim.star" in done.err


def test_a_run_beside_its_baselines(run: Path, cli: Cli) -> None:
    """Of the training part, as the others are too small; the run's own predictions stand there as before."""
    done = cli(
        "evaluate", f"run={run}", "out=new", "part=train", "device=cpu", *FAST,
        "measures=[spectrum,noise,invented,memorized]", "measure.invented.images=24", "baselines=[spectral]",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = document(Path("new"))
    assert set(found["candidates"]) == {"fake", "spectral"}
    of_fake = found["candidates"]["fake"]["measures"]
    of_spectral = found["candidates"]["spectral"]["measures"]
    assert set(of_fake) == {"spectrum", "noise", "invented", "memorized"}
    assert set(of_spectral) == {"spectrum", "noise"}
    excess = [
        part["spectrum"]["quantities"]["rpsd_l1_excess"]["fake"]["value"] for part in (of_fake, of_spectral)
    ]
    assert excess[1] < 1.2 < excess[0]  # two steps of training are none
    assert of_fake["noise"]["answers"]["repeated"]["verdict"] == "fail"  # no noise map
    assert of_spectral["noise"]["answers"]["repeated"]["verdict"] == "pass"
    assert of_fake["invented"]["answers"]
    assert of_fake["memorized"]["answers"]
    metrics = json.loads(Path("new/metrics.json").read_text())
    value = of_fake["spectrum"]["quantities"]["rpsd_l1"]["fake"]["value"]
    assert math.isclose(value, metrics["RPSD_L1"], rel_tol=1e-3)
    assert not list(Path("new").glob("referee*"))
    assert "spectral" in done.out


def test_a_truth_of_other_particles(run: Path, cli: Cli, tmp_path: Path) -> None:
    """Images of some of the run's particles only: nobody else's stand in for the others."""
    files = map(Path, json.loads((run / "provenance.json").read_text())["data"])
    (sim,) = (file for file in files if file.name == "sim.star")
    part = read_particles(sim).take(np.arange(5))
    names = [f"{slot + 1:06d}@{sim.parent / 'sim.mrcs'}" for slot in part.slot]
    write_particles(tmp_path / "few.star", part, image_names=names)
    options = ("out=new", "part=train", "device=cpu", "measures=[content]", "baselines=[]")
    done = cli("evaluate", f"run={run}", f"truth={tmp_path / 'few.star'}", *options, *FAST)
    assert done.code == 1
    assert "few.star: " in done.err
    assert "of 48 particles have no truth" in done.err
    assert not Path("new").exists()


def test_a_domain_on_another_grid(cli: Cli, folder: Path, tmp_path: Path) -> None:
    for name, size in (("map", 32), ("domain", 24)):
        values = np.zeros((size,) * 3, dtype=np.float32)
        values[size // 2] = 1
        mrcfile.write(tmp_path / f"{name}.mrc", values, voxel_size=7.08)
    done = judge(
        cli, folder, "measures=[invented]", f"volume={tmp_path / 'map.mrc'}",
        f"without_domain.domain={tmp_path / 'domain.mrc'}", f"without_domain.fake={folder / 'fake.star'}",
    )  # fmt: skip
    assert done.code == 1
    assert "domain.mrc: the domain is not on the grid of the map" in done.err
    assert "(24, 24, 24)" in done.err
    assert not (tmp_path / "evaluation").exists()


def test_too_few_pairs_of_a_run_leave_its_table(run: Path, cli: Cli) -> None:
    done = cli("evaluate", f"run={run}", "out=new", "device=cpu", "progress=false")
    assert done.code == 0, done.err
    assert "too few pairs for the referee" in done.out + done.err
    assert Path("new/metrics.json").is_file()
    assert not Path("new/evaluation.json").exists()
