"""Judge stacks that any program made: fakes beside raw and sim of the same particles, or of others."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, cast

from omegaconf import DictConfig, OmegaConf

from cryoalign.cli import CONF_DIR
from cryoalign.data.images import SAME_PIXEL_SIZE
from cryoalign.errors import InputError, choice
from cryoalign.evaluate.case import Case
from cryoalign.evaluate.document import MAIN, Document
from cryoalign.evaluate.judge import judge
from cryoalign.evaluate.outputs import (
    describe_case,
    group_description,
    measures_of,
    read_map,
    settings_of,
    write_outputs,
)
from cryoalign.evaluate.reading import Reader
from cryoalign.io.mrc_volume import never_set
from cryoalign.io.output import staged
from cryoalign.io.relion.read import MICROGRAPH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from torch import Tensor

    from cryoalign.evaluate.judge import Measure
    from cryoalign.evaluate.stacks import Normalize, Stacks
    from cryoalign.io.relion.missing_ctf import MissingCtf


_log = logging.getLogger(__name__)

Pairs = Literal["auto", "yes", "no"]
PAIRS = ("auto", "yes", "no")


class MoreFiles(TypedDict, total=False):
    """Files that some questions need; a question whose files are missing is not asked.

    Attributes
    ----------
    second_draw : str or Path
        Metadata of a second draw of the fakes from the same sims.
    truth : str or Path
        Metadata of noise-free true images of the same particles.
    empty : str or Path
        Metadata of fakes of sims without a particle.
    without_domain_fake, without_domain_domain : str or Path
        Metadata of fakes of sims that lack a domain; the map of that domain on the grid of `volume`.
    train_fake, train_raw, train_sim : str or Path
        Metadata of the training pairs of the generator.
    volume : str or Path
        Reference map; one is made of the sims without it.
    """

    second_draw: str | Path
    truth: str | Path
    empty: str | Path
    without_domain_fake: str | Path
    without_domain_domain: str | Path
    train_fake: str | Path
    train_raw: str | Path
    train_sim: str | Path
    volume: str | Path


def evaluate_stacks(
    fake: str | Path,
    raw: str | Path,
    sim: str | Path | None = None,
    *,
    pairs: Pairs = "auto",
    others: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    measures: str | Sequence[str] | Mapping[str, Measure] | None = None,
    by: str = MICROGRAPH,
    pattern: str | None = None,
    box: int | None = None,
    resample: bool = False,
    normalize: Normalize = "raw",
    root: str | Path | None = None,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    missing_ctf: MissingCtf = "refuse",
    pixel_size: float | None = None,
    check_header: bool = True,
    bins: int = 4,
    draws: int = 1000,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = False,
    **more: Unpack[MoreFiles],
) -> Document:
    """Judge fakes that any program made beside measured images, of the same particles or of others.

    Parameters
    ----------
    fake, raw, sim : str or Path
        Metadata (STAR, ``.cs``) of the images that are judged, of the measured ones, and of the simulated
        ones, matched by ``rlnImageOriginalName`` or uid, else row for row. Of fakes of other particles than
        raw's `sim` may be left out; if given, it is their own.
    pairs : {"auto", "yes", "no"}
        Whether the fakes are of raw's particles; auto: unless the files have it that they are new ones. If
        not, raw images of like micrograph, optics group, dose and defocus stand beside them, and what needs
        pairs is not asked.
    others : str or Path, or several
        Metadata of other stacks, whose noise these fakes must not have.
    out : str or Path, optional
        Folder to make, with ``evaluation.json`` and ``report.html``; nothing is written without it.
    measures : str or sequence of str, optional
        ``spectrum``, ``content``, ``ctf``, ``pose``, ``noise``, ``two_sample``, ``invented``, ``memorized``;
        all of them without it. Asked for by name alone, since they take minutes: ``class_mix`` and
        ``psnr_gap``. Or measures by name, already built.
    by : str
        Column whose values are the groups that are resampled.
    pattern : str, optional
        Regular expression on that column; what it matches names the group.
    box : int, optional
        Fourier-crop every image to this box in px.
    resample : bool
        Bring optics groups of another pixel or box size to those of the first group.
    normalize : {"raw", "both", "none"}
        Images whose background gets mean 0 and standard deviation 1; with "raw" fakes have that scale.
    root : str or Path, optional
        Folder that the stack names of raw are relative to.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of raw.
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file of raw without a CTF; see `cryoalign.read_particles`.
    pixel_size : float, optional
        Of the images of a STAR file of measured particles in A, where its columns are wrong.
    check_header : bool
        Refuse stacks whose headers contradict the metadata about the pixel size.
    bins : int
        Defocus bins, at the most.
    draws : int
        Bootstrap replicates.
    seed : int
        Of everything that is drawn at random.
    overwrite : bool
        Replace `out` if it is of an earlier evaluation.
    device : str
        Where to compute: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
    progress : bool
        Show progress bars on standard error.
    **more
        See `MoreFiles`.

    Returns
    -------
    Document
        ``document.judged`` holds a finding for each measure: quantities with intervals, and answers with
        verdicts.

    Raises
    ------
    InputError
        If a stack cannot be used, there is nothing to measure, or the output exists.

    Examples
    --------
    >>> import cryoalign
    >>> found = cryoalign.evaluate_stacks(
    ...     "fake/fake.star", "run_data.star", "sim/sim.star", measures=["spectrum"]
    ... )  # doctest: +SKIP
    >>> found.judged["spectrum"].quantities["rpsd_l1_excess"].fake.value  # doctest: +SKIP
    """
    chosen = _chosen(measures)
    given = cast("Mapping[str, str | Path]", more)
    elsewhere = [others] if isinstance(others, str | Path) else others
    files = {"fake": fake, "raw": raw} | ({} if sim is None else {"sim": sim})
    inputs = [Path(path) for path in (*files.values(), *elsewhere, *given.values())]
    files |= {name: path for name, path in given.items() if name in {"truth", "second_draw"}}
    facts = {
        "title": f"{Path(fake).name} against {Path(raw).name}",
        "files": {name: str(path) for name, path in files.items()} | _named(elsewhere),
        "group_by": group_description(by, pattern),
    }
    reader = Reader(
        root=None if root is None else Path(root), passthrough=passthrough, missing_ctf=missing_ctf,
        pixel_size=pixel_size, check_header=check_header, box=box, resample=resample, by=by, pattern=pattern,
        normalize=normalize, bins=bins, seed=seed,
    )  # fmt: skip
    settings = settings_of(
        volume=more.get("volume"), draws=draws, seed=seed, progress=progress, device=device
    )
    with nullcontext() if out is None else staged(Path(out), overwrite, inputs) as folder:
        case = Case(_stacks(reader, files, pairs), **settings)
        _add_more(case, reader, more, fake)
        case.others = {str(path): reader.probe(path, case.pairs) for path in elsewhere}
        document = describe_case({MAIN: judge(case, chosen)}, facts, case)
        if folder is not None:
            write_outputs(folder, document, case.pairs)
    return document


def _named(elsewhere: Sequence[str | Path]) -> dict[str, str]:
    """Name other stacks among the files, if there are any."""
    return {"others": ", ".join(map(str, elsewhere))} if elsewhere else {}


def _chosen(measures: str | Sequence[str] | Mapping[str, Measure] | None) -> Mapping[str, Measure]:
    """Build the measures that were named, with the settings of ``conf/evaluate.yaml``."""
    if isinstance(measures, DictConfig | dict):
        chosen = cast("Mapping[str, Measure]", measures)
    else:
        defaults = cast("DictConfig", OmegaConf.load(Path(CONF_DIR) / "evaluate.yaml"))
        chosen = measures_of(cast("str | Sequence[str] | None", measures), defaults.measure)
    if not chosen:
        raise InputError(
            "there is nothing to measure",
            expected="one measure or more",
            remedy="leave measures= out for all",
        )
    return chosen


def _stacks(reader: Reader, files: Mapping[str, str | Path], pairs: Pairs) -> Stacks:
    """Read the stacks, matched as pairs or by like conditions."""
    choice("pairs", pairs, PAIRS, remedy="leave it out: the files tell")
    fake, raw = files["fake"], files["raw"]
    if pairs == "yes" or (pairs == "auto" and reader.are_pairs(raw, fake)):
        if "sim" not in files:
            raise InputError(
                "nothing to judge: sim was not given",
                file=fake,
                expected="the simulated images that the fakes were made of",
                remedy="give sim=; if these are fakes of other particles than raw's, say pairs=no",
            )
        return reader.pairs(**files)
    if "truth" in files:
        raise InputError(
            "truth= needs pairs, and these fakes are of other particles than raw's",
            file=fake,
            remedy="leave it out; sim= may be given, the fakes' own sims",
        )
    made = {kind: path for kind, path in files.items() if kind not in {"fake", "raw"}}
    stacks = reader.unpaired(raw, fake, **made)
    why = "pairs=no" if pairs == "no" else "the fakes are of new particles"
    words = "" if stacks.own is None else stacks.own.words
    _log.info("unpaired    %s: %s What needs pairs is not asked.", why, words)
    return stacks


def _add_more(case: Case, reader: Reader, others: MoreFiles, judged: str | Path) -> None:
    """Read the stacks that some questions need."""
    fake, sim = others.get("train_fake"), others.get("train_sim")
    train = [name.removeprefix("train_") for name in others if name.startswith("train_")]
    if "train_raw" in others and len(train) > 1:
        case.train = reader.pairs(others["train_raw"], fake=fake, sim=sim)
    elif train:
        raise InputError(
            "the training pairs are incomplete",
            expected="train.raw=, and train.sim= or train.fake=",
            found=", ".join(f"train.{kind}=" for kind in train),
            remedy="give the missing metadata files, or none of them",
        )
    if "empty" in others:
        case.empty = reader.probe(others["empty"], case.pairs)
    elif not case.pairs.paired:
        case.empty = reader.empties(judged, case.pairs)
    if "without_domain_fake" in others:
        case.without_domain, case.domain = (
            reader.probe(others["without_domain_fake"], case.pairs),
            _domain(case, others),
        )


def _domain(case: Case, others: MoreFiles) -> Tensor:
    """Read the map of the domain that the sims of `without_domain_fake` lacked."""
    path = others.get("without_domain_domain")
    if path is None or case.volume is None or case.voxel_size is None:
        raise InputError(
            "fakes without a domain need the map and the domain",
            file=others["without_domain_fake"],
            expected="volume= and without_domain.domain=",
            remedy="give both maps, on one grid",
        )
    domain, voxel_size = read_map(path)
    other = abs(voxel_size / case.voxel_size - 1) > SAME_PIXEL_SIZE and not never_set(voxel_size)
    if domain.shape != case.volume.shape or other:
        raise InputError(
            "the domain is not on the grid of the map",
            file=path,
            expected=f"{tuple(case.volume.shape)} voxels of {case.voxel_size:.4g} A, as in volume=",
            found=f"{tuple(domain.shape)} voxels of {voxel_size:.4g} A",
            remedy="cut the domain out of that map, and leave its box as it is",
        )
    return domain
