"""The audit from Python: two metadata files in, the conclusion and its evidence out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoalign.audit.check import check_pairs
from cryoalign.audit.report import report_lines
from cryoalign.audit.sample import read_sample
from cryoalign.audit.verdict import conclude
from cryoalign.errors import within

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryoalign.audit.check import Evidence
    from cryoalign.audit.verdict import Conclusion
    from cryoalign.io.relion.missing_ctf import MissingCtf


@dataclass(frozen=True)
class Audit:
    """What an audit of pairs found; as text, the lines that the command prints below its table.

    Attributes
    ----------
    conclusion : Conclusion
        ``outcome``, one ``line``, the ``remedy``, and what these pairs cannot exclude.
    evidence : Evidence
        The correlation that every hypothesis reaches.
    """

    conclusion: Conclusion
    evidence: Evidence

    def __str__(self) -> str:
        return "\n".join(report_lines(self.conclusion, self.evidence))


def audit_pairs(
    sim: str | Path,
    raw: str | Path,
    *,
    root: str | Path | None = None,
    passthrough: str | Path | Sequence[str | Path] | None = None,
    missing_ctf: MissingCtf = "refuse",
    pixel_size: float | None = None,
    check_header: bool = True,
    sample: int = 300,
    radius: float = 0.9,
    poses: bool = True,
    progress: bool = False,
) -> Audit:
    """Test whether simulated and measured particles are pairs, and if not, what is wrong with them.

    Parameters
    ----------
    sim, raw : str or Path
        Metadata (STAR, ``.cs``) of the simulated and of the measured particles.
    root : str or Path, optional
        Folder that the stack names of `raw` are relative to.
    passthrough : str or Path, or several, optional
        CryoSPARC's passthrough files of `raw`.
    missing_ctf : {"refuse", "neutral"}
        Of a STAR file of measured particles without a CTF; see `cryoalign.read_particles`.
    pixel_size : float, optional
        Of the images of a STAR file of measured particles in A, where its columns are wrong.
    check_header : bool
        Refuse stacks whose headers contradict the metadata about the pixel size, as a training does.
    sample : int
        About this many pairs, evenly over the rows; 0 for all.
    radius : float
        Of the particle's circle, as a fraction of half the box.
    poses : bool
        Test the poses too, with maps made of the simulated images.
    progress : bool
        Show progress bars on standard error.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        If a file cannot be used, or rows cannot be matched at all.

    Examples
    --------
    >>> import cryoalign
    >>> found = cryoalign.audit_pairs("sim/sim.star", "run_data.star")  # doctest: +SKIP
    >>> print(found)  # doctest: +SKIP
    pairs agree, 185 sigma
    """
    within("sample", sample, 0, remedy="sample=0 takes all pairs")
    within("radius", radius, above=0, most=1)
    pairs = read_sample(
        sim,
        raw,
        root=root,
        passthrough=passthrough,
        missing_ctf=missing_ctf,
        pixel_size=pixel_size,
        check_header=check_header,
        count=sample,
        progress=progress,
    )
    evidence = check_pairs(pairs, radius=radius, poses=poses, progress=progress)
    return Audit(conclude(evidence), evidence)
