"""Whole files of every kind that is read, what mutates them, and what reads them."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gemmi
import starfile

import cryoalign
from cryoalign.data.split import split_particles
from cryoalign.evaluate.document import read_document, to_document, write_document
from cryoalign.io.metadata import read_particles
from cryoalign.io.mrc import MrcStack, read_volume
from cryoalign.io.ownership import identity_of, listed
from cryoalign.io.structure import read_structure
from cryoalign.report.run_result import read_result
from cryoalign.runs.description import read_split
from cryoalign.runs.folder import read_run
from cryoalign.train.log_table import cut_behind
from cryoalign.train.slots import CONTINUING
from tests.evaluate import example
from tests.fuzz import formats as f
from tests.fuzz import mutations as m
from tests.io import cryosparc_files

Reader = Callable[[Path], object]
"""Gets the file; others lie beside it, as `write_originals` makes them."""

SIMULATE = ("simulate", "out=new", "progress=false")
OF_MAP = (*SIMULATE, "volume=volume.mrc")
OF_CS = (*OF_MAP, "particles=particles.cs")
OF_STAR = (*SIMULATE, "particles=raw.star")
OF_ATOMS = (*OF_STAR, "specimen=atomic_model")
TRAIN = (
    "train", "data=stars", "data.sim=sim/sim.star", "data.raw=raw.star", "+debug=smoke", "data.batch_size=4",
    "trainer=cpu", "trainer.enable_progress_bar=false", "trainer.max_steps=1", "audit=off",
    "test=false", "threads=1",
)  # fmt: skip
AUDIT = ("audit", "sim=sim/sim.star", "raw=raw.star", "sample=20")
EXPORT = ("export", "run=run", "particles=sim/sim.star", "out=new", "progress=false")
REPORT = ("report", "runs=run", "out=new")
RESUME = ("train", "resume=run", "trainer.max_steps=5")
EVALUATE = (
    "evaluate",
    "run=run",
    "out=new",
    "measures=[spectrum]",
    "draws=100",
    "progress=false",
    "threads=1",
)
STACKS = (
    "evaluate", "fake=sim/sim.star", "raw=raw.star", "sim=sim/sim.star", "out=new", "measures=[spectrum]",
    "draws=100", "progress=false", "threads=1",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A file that is mutated.

    Attributes
    ----------
    name : str
        Its path among the originals.
    mutations : tuple of callable
    readers : tuple of callable
    commands : tuple of tuple of str
        Command lines that read it.
    """

    name: str
    mutations: tuple[m.Mutation, ...]
    readers: tuple[Reader, ...]
    commands: tuple[tuple[str, ...], ...]


def _stack(path: Path) -> None:
    stack = MrcStack(path)
    for slot in {0, stack.count - 1}:
        stack.read(slot)


def _cryosparc(path: Path) -> None:
    read_particles(path.with_name("particles.cs"), path.with_name("passthrough.cs"))


def _marker(path: Path) -> None:
    listed(path.parent)
    identity_of(path.parent)


def _split_file(path: Path) -> None:
    split_particles(read_particles(path.parents[1] / "raw.star"), kind="file", file=path)


def _log(path: Path) -> None:
    cut_behind(path.parents[1], 3, validated=False)


def _result(path: Path) -> None:
    read_result(_run(path))


def _load(path: Path) -> None:
    cryoalign.load(_run(path))


def _continued(path: Path) -> None:
    read_run(_run(path), CONTINUING)


def _run(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.name == "run")


_STAR = (m.TEXT, (read_particles,))
_OF_RUN = (REPORT, EXPORT, RESUME, EVALUATE)
INPUTS = (
    Input("raw.star", *_STAR, ((*OF_MAP, "particles=raw.star"), TRAIN, AUDIT, STACKS)),
    Input("old.star", *_STAR, ((*OF_MAP, "particles=old.star"),)),
    Input("sim/sim.star", *_STAR, (TRAIN, AUDIT, EXPORT, STACKS)),
    Input("particles.cs", f.CS, (_cryosparc, read_particles), (OF_CS,)),
    Input("passthrough.cs", f.CS, (_cryosparc,), ((*OF_CS, "passthrough=passthrough.cs"),)),
    Input("raw.mrcs", f.MRC, (_stack,), (TRAIN, AUDIT, STACKS)),
    Input("volume.mrc", f.MRC, (read_volume,), ((*OF_MAP, "particles=raw.star"),)),
    Input("volume.map.gz", m.BYTES, (read_volume,), ((*OF_STAR, "volume=volume.map.gz"),)),
    Input("model.pdb", m.PDB, (read_structure,), ((*OF_ATOMS, "volume=model.pdb"),)),
    Input("model.cif", m.TEXT, (read_structure,), ((*OF_ATOMS, "volume=model.cif"),)),
    Input("model.pdb.gz", m.BYTES, (read_structure,), ((*OF_ATOMS, "volume=model.pdb.gz"),)),
    Input("run/config.yaml", m.YAML, (_result, _load, _continued), _OF_RUN),
    Input("run/data.json", m.JSON, (_result, _load, _continued), _OF_RUN),
    Input("run/provenance.json", m.JSON, (_result,), _OF_RUN),
    Input("run/split.csv", m.CSV, (_result, read_split, _split_file), (REPORT, RESUME, EXPORT)),
    Input("run/csv/metrics.csv", m.CSV, (_result, _log), (REPORT, RESUME)),
    Input("run/checkpoints/last.ckpt", f.CHECKPOINT, (_load,), (EXPORT, RESUME, EVALUATE)),
    Input("run/test/metrics.json", m.JSON, (_result,), (REPORT,)),
    Input("run/test/rpsd.npz", m.BYTES, (_result,), (REPORT,)),
    Input("run/judged/evaluation.json", m.JSON, (_result, read_document), (REPORT,)),
    Input("run/test/.cryoalign", m.JSON, (_marker,), (RESUME,)),
)


def write_originals(run: Path, pairs: Path, folder: Path) -> None:
    """Write every whole file, small: a run, what it was trained on, and the same particles of other programs.

    Parameters
    ----------
    run : Path
        Of a few steps, tested.
    pairs : Path
        With ``raw.star``, ``raw.mrcs``, ``volume.mrc`` and ``sim``.
    folder : Path
        To be filled.
    """
    for name in ("raw.star", "raw.mrcs", "volume.mrc"):
        shutil.copy(pairs / name, folder / name)
    shutil.copytree(pairs / "sim", folder / "sim")
    shutil.copytree(run, folder / "run", ignore=shutil.ignore_patterns("tensorboard", "*.png"))
    tables = starfile.read(folder / "raw.star", always_dict=True)
    joined = tables["particles"].merge(
        tables["optics"].drop(columns="rlnOpticsGroupName"), on="rlnOpticsGroup"
    )
    starfile.write(joined.rename(columns={"rlnImagePixelSize": "rlnPixelSize"}), folder / "old.star")
    table = cryosparc_files.particles(12, box=32, psize=7.08)
    cryosparc_files.save(folder / "particles.cs", table)
    cryosparc_files.save(folder / "passthrough.cs", cryosparc_files.location(table))
    for name in ("volume.mrc", "model.pdb"):
        if name == "model.pdb":
            _write_model(folder)
        packed = folder / f"{name.replace('volume.mrc', 'volume.map')}.gz"
        packed.write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
    (folder / "run" / "judged").mkdir()
    write_document(
        folder / "run" / "judged" / "evaluation.json", to_document(example.candidates(), example.facts())
    )


def _write_model(folder: Path) -> None:
    """Write two chains of a few residues, water and an ion, with an assembly."""
    backbone = [(atom, "ALA", chain) for chain in "AB" for _ in range(4) for atom in ("N", "CA", "C", "O")]
    lines = [
        f"{'ATOM' if name == 'ALA' else 'HETATM':<6}{n:>5}  {atom:<3} {name:>3} {chain}{1 + n // 4:>4}    "
        f"{n * 1.5:8.3f}{n % 7:8.3f}{-n % 5:8.3f}{1:6.2f}{20 + n:6.2f}"
        f"          {atom if name == 'ZN' else atom[0]:>2}\n"
        for n, (atom, name, chain) in enumerate([*backbone, ("O", "HOH", "A"), ("ZN", "ZN", "B")])
    ]
    structure = gemmi.read_pdb_string("".join(lines))
    structure.setup_entities()
    structure.write_pdb(str(folder / "model.pdb"))
    structure.make_mmcif_document().write_file(str(folder / "model.cif"))


def linked(originals: Path, folder: Path) -> None:
    """Fill a folder with the originals, as links of the file system: they are not to be written into."""
    shutil.copytree(originals, folder, copy_function=os.link, dirs_exist_ok=True)


def copied(originals: Path, folder: Path) -> None:
    """Fill a folder with copies of the originals."""
    shutil.copytree(originals, folder, dirs_exist_ok=True)
