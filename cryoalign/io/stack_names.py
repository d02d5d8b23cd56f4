"""How a STAR file names the stacks beside it: by their own names, or as seen from the project's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from cryoalign.errors import InputError, choice

Names = Literal["folder", "project"]
"""Where stack names start; see `stack_prefix`."""


def stack_prefix(out: Path, names: Names) -> str:
    """Return what stands before the names of stacks in a folder.

    RELION resolves them against the folder that it runs in: that of the STAR file, or the project's.

    Parameters
    ----------
    out : Path
        The folder of the STAR file and the stacks.
    names : {"folder", "project"}
        With "project" they start at the working directory.

    Returns
    -------
    str
        Empty, or a path that ends with a slash.

    Raises
    ------
    InputError
        If `names` is neither, or `out` lies outside the project.

    Examples
    --------
    >>> stack_prefix(Path("Simulate/new"), "project")
    'Simulate/new/'
    """
    choice("names", names, ("folder", "project"))
    if names == "folder":
        return ""
    project = Path.cwd()
    for place in (Path(os.path.normpath(Path(out).absolute())), Path(out).resolve()):
        if place.is_relative_to(project):
            return f"{place.relative_to(project).as_posix()}/"
    raise InputError(
        "names=project needs an output in the project's folder",
        file=out,
        expected=f"a folder below {project}, where this command runs",
        remedy="run it in the project's folder, with out= below that",
    )
