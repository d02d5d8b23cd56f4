"""What a folder of results holds, so that only what cryoalign wrote is ever replaced.

The marker of a folder lists everything in it. A folder is replaced, or cleared away, only where it holds this
alone; and it is removed name by name, so that what appears in between stays.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryoalign.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_log = logging.getLogger(__name__)

MARKER = ".cryoalign"
"""Name of the file by which a folder is known to be cryoalign's; it lists what may be replaced."""

_NEW_MARKER = f"{MARKER}.new"
_ABOUT = "cryoalign wrote what is listed here; overwrite=true replaces this folder if it holds nothing else"
_RANDOM = r"[a-z0-9_]{8}"  # what tempfile puts behind a prefix


def mark(
    folder: Path,
    *,
    identity: str | None = None,
    job: Mapping[str, object] | None = None,
    finished: bool,
) -> None:
    """Mark a folder as written by cryoalign.

    Parameters
    ----------
    folder : Path
    identity : str, optional
        All that decides what is in it, where that is known.
    job : mapping, optional
        Of one that several jobs fill: how the whole is made of their files.
    finished : bool
        List what is in it; one that is still being filled lists nothing.
    """
    content: dict[str, object] = {"about": _ABOUT, "identity": identity}
    if job is not None:
        content["job"] = dict(job)
    if finished:
        content["files"] = sorted({*entries(folder), MARKER})
    new = folder / _NEW_MARKER
    with new.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / MARKER)


def entries(folder: Path) -> Iterator[str]:
    """Yield everything below a folder, by its path from there; what a folder holds before the folder."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            yield (Path(place) / name).relative_to(folder).as_posix()


def listed(folder: Path) -> set[str]:
    """Return what the marker of a folder lists: nothing without one that can be read."""
    files = _marker(folder).get("files")
    return {name for name in files if isinstance(name, str)} if isinstance(files, list) else set()


def identity_of(folder: Path) -> str | None:
    """Return what decides the content of a folder, as its marker has it."""
    identity = _marker(folder).get("identity")
    return identity if isinstance(identity, str) else None


def job_of(folder: Path) -> dict[str, object] | None:
    """Return how the whole is made of the files in a folder, None where its marker does not say."""
    job = _marker(folder).get("job")
    return job if isinstance(job, dict) else None


def is_marked(folder: Path) -> bool:
    """Check that a folder, not a link to one, has a marker that cryoalign wrote."""
    return folder.is_dir() and not folder.is_symlink() and _marker(folder).get("about") == _ABOUT


def is_empty(folder: Path) -> bool:
    """Check that a folder, not a link to one, holds nothing but a marker that was never finished."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return {entry.name for entry in folder.iterdir()} <= {_NEW_MARKER}


def _marker(folder: Path) -> dict[str, object]:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def check_free(out: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Refuse an output that would lose something.

    Parameters
    ----------
    out : Path
        The folder to make.
    overwrite : bool
        A folder that holds nothing but what its marker lists, or nothing at all, may be replaced.
    inputs : sequence of Path
        Files that are being read.

    Raises
    ------
    InputError
        If `out` holds an input, exists, or holds what cryoalign did not write there.
    """
    place = out.resolve()
    for source in (Path(path).resolve() for path in inputs):
        if place == source or place in source.parents:
            raise InputError(
                "the output folder holds an input",
                file=out,
                found=source,
                remedy="choose another folder for the output",
            )
    if not (out.exists() or out.is_symlink()):
        return
    if overwrite:
        _check_replaceable(out)
        return
    found: object = None
    remedy = "choose another folder, or overwrite=true to replace this one"
    try:
        _check_replaceable(out)
    except InputError as error:
        found = "the folder of a run" if error.found == out else error.found
        remedy = "choose another folder: overwrite=true does not replace this one"
    raise InputError("the output exists already", file=out, found=found, remedy=remedy)


def _check_replaceable(out: Path) -> None:
    """Refuse to replace what is not a result of cryoalign and nothing else."""
    if out.is_symlink() or not out.is_dir():
        raise InputError(
            "the output exists and cryoalign did not write it, so overwrite=true does not replace it",
            file=out,
            expected="a folder that cryoalign wrote",
            found="a link" if out.is_symlink() else "a file",
            remedy="choose another folder, or remove this one by hand",
        )
    if not any(out.iterdir()):
        return
    if (run := _run_in(out)) is not None:
        raise InputError(
            "this is the folder of a run, which overwrite=true never replaces"
            if run == out
            else "this folder holds that of a run, so overwrite=true does not replace it",
            file=out,
            found=run,
            remedy="choose another folder for the output",
        )
    known = listed(out)
    if not known:
        raise InputError(
            "the output exists and cryoalign did not write it, so overwrite=true does not replace it",
            file=out,
            expected=f"a folder whose file {MARKER} lists what cryoalign wrote",
            found=min(out.iterdir()),
            remedy="choose another folder, or remove this one by hand",
        )
    unknown = {name for name in entries(out) if name not in known}
    foreign = sorted(unknown.difference(str(above) for name in unknown for above in Path(name).parents))
    if foreign:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise InputError(
            "the output holds what cryoalign did not write there, so overwrite=true does not replace it",
            file=out,
            expected="nothing but what cryoalign wrote there",
            found=f"{out / foreign[0]}{more}",
            remedy="move it elsewhere, or choose another folder",
        )


def _run_in(out: Path) -> Path | None:
    """Return a run's folder that is `out` or lies a few levels below it."""
    for pattern in ("config.yaml", "*/config.yaml", "*/*/config.yaml"):
        for path in out.glob(pattern):
            if (path.parent / "data.json").exists() or (path.parent / "checkpoints").exists():
                return path.parent
    return None


def remove_listed(folder: Path) -> None:
    """Remove a folder's listed files, and the folder if nothing else is in it."""
    known = listed(folder)
    for name in [*(name for name in entries(folder) if name in known and name != MARKER), MARKER, ""]:
        path = folder / name
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            if not name:
                _log.warning("%s is left, since it holds something else: %s", folder, error.strerror)


def replace(temporary: Path, out: Path) -> None:
    """Move `temporary` to `out`; what was there goes only after the new folder stands in its place."""
    if not out.exists():
        temporary.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=_prefix(out, "old"), dir=out.parent))
    out.rename(old / out.name)
    try:
        temporary.rename(out)
    except OSError:
        (old / out.name).rename(out)
        old.rmdir()
        raise
    _drop_old(old, out)


def _drop_old(old: Path, out: Path) -> None:
    """Remove what `out` was before, which lies in `old`."""
    if (old / out.name).is_dir():
        remove_listed(old / out.name)
    try:
        old.rmdir()
    except OSError:
        _log.warning("what %s held before and cryoalign did not write is kept in %s", out, old)


def temporary_folder(out: Path) -> Path:
    """Make a folder beside `out`, marked as one that is being filled."""
    folder = Path(tempfile.mkdtemp(prefix=_prefix(out, "new"), dir=out.parent))
    folder.chmod(0o755)  # mkdtemp's 0700 would lock colleagues out of the result
    mark(folder, finished=False)
    return folder


def left_behind(out: Path) -> list[Path]:
    """Find temporary folders of processes that were killed; put back an output that one had moved aside.

    To be called by the holder of the output's lock: nobody else has such folders then.

    Parameters
    ----------
    out : Path
        The folder that they were to become.

    Returns
    -------
    list of Path
        Folders to remove.
    """
    found = []
    for path in sorted(out.parent.iterdir()):
        kind = re.fullmatch(rf"\.{re.escape(out.name)}\.(new|old)\.{_RANDOM}", path.name)
        if kind is None or path.is_symlink() or not path.is_dir():
            continue
        if kind[1] == "new":
            if is_marked(path) or is_empty(path):
                found.append(path)
        elif [entry.name for entry in path.iterdir()] in ([], [out.name]):
            if (path / out.name).is_dir() and not out.exists():
                (path / out.name).rename(out)
                _log.warning("%s is back: a process was killed while it replaced this folder", out)
            _drop_old(path, out)
    return found


def _prefix(out: Path, kind: str) -> str:
    return f".{out.name}.{kind}."
