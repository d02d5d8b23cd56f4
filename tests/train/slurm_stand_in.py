"""Stands for SLURM: sbatch, srun, scontrol requeue and sacct, for jobs of any number of tasks, all here.

The first argument is the name of the program; what it knows of jobs lies in the folder ``$SLURM_STAND_IN``.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ["SLURM_STAND_IN"])
JOB = "4242"


def sbatch(script: str) -> None:
    """Begin all jobs of the array, and leave them running."""
    STATE.mkdir(exist_ok=True)
    found = re.search(r"^#SBATCH --array=0-(\d+)", Path(script).read_text(), re.MULTILINE)
    tasks = [str(number) for number in range(int(found[1]) + 1)] if found else [""]
    (STATE / "sbatch").write_text(Path(script).read_text())
    for task in tasks:
        nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        subprocess.Popen([sys.executable, __file__, "run", script, task], start_new_session=True, **nowhere)
    print(f"Submitted batch job {JOB}")


def run(script: str, task: str) -> None:
    """Run the script of a job, and again where it was queued again."""
    name = f"{JOB}_{task}" if task else JOB
    array = {"SLURM_ARRAY_JOB_ID": JOB, "SLURM_ARRAY_TASK_ID": task} if task else {}
    asked = re.search(r"^#SBATCH --ntasks-per-node=(\d+)", Path(script).read_text(), re.MULTILINE)
    job = {
        "SLURM_JOB_ID": str(int(JOB) + int(task or 0)), "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": asked[1] if asked else "1", "SLURM_NNODES": "1", "SLURM_NODELIST": "localhost",
    }  # fmt: skip
    if asked:
        job["SLURM_NTASKS_PER_NODE"] = asked[1]
    again = STATE / f"{name}.again"
    while True:
        subprocess.run(["bash", script], env={**os.environ, **job, **array}, check=False)
        if not again.exists():
            break
        again.unlink()
    (STATE / f"{name}.done").touch()


def srun(*words: str) -> None:
    """Run the tasks of the job, with their output where that is wanted; note them, for signals."""
    array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{array}_{number}" if array else os.environ["SLURM_JOB_ID"]
    options = dict(zip(words[1::2], words[2::2], strict=False))
    command = list(words[words.index("--error") + 2 :])
    with socket.create_server(("localhost", 0)) as server:
        port = str(server.getsockname()[1])
    tasks = []
    for rank in map(str, range(int(os.environ["SLURM_NTASKS"]))):
        streams = []
        for option in ("--output", "--error"):
            place = options[option].replace("%j", name).replace("%A_%a", name).replace("%t", rank)
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            streams.append(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        started = {
            "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": "0", "MASTER_PORT": port,
            "SLURM_STEP_NUM_TASKS": os.environ["SLURM_NTASKS"],
        }  # fmt: skip
        tasks.append(
            subprocess.Popen(command, env=os.environ | started, stdout=streams[0], stderr=streams[1])
        )
    noted = STATE / f"{name}.new"
    noted.write_text(" ".join(str(task.pid) for task in tasks))
    noted.replace(STATE / f"{name}.pid")
    sys.exit(max(task.wait() for task in tasks))


def scontrol(verb: str, name: str) -> None:
    """Queue a job again."""
    assert verb == "requeue"
    (STATE / f"{name}.again").touch()


def sacct(*_: str) -> None:
    """Print the state of all jobs."""
    print("JobID|State|NodeList")
    for path in STATE.glob("*.pid"):
        state = "COMPLETED" if path.with_suffix(".done").exists() else "RUNNING"
        print(f"{path.stem}|{state}|here")


if __name__ == "__main__":
    programs = {"sbatch": sbatch, "run": run, "srun": srun, "scontrol": scontrol, "sacct": sacct}
    programs[sys.argv[1]](*sys.argv[2:])
