"""The demo: the paper's GAN after 100 steps and the recommended generator on embedded data, judged and shown.

$ python experiments/demo.py                            what `make demo` runs
$ python experiments/demo.py data=stars data.sim=... data.raw=...

Every argument is one of ``python -m cryoalign.train``. Prints the table of each run and the verdicts of both,
and writes a page with their particles.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ARMS = {
    "gan": ["+experiment=demo", "trainer.max_steps=100", "trainer.val_check_interval=50"],
    "recommended": ["+experiment=recommended"],
}
#: What takes seconds; `cryoalign evaluate` alone asks the rest.
MEASURES = "measures=[spectrum,content,noise]"


def main(overrides: list[str]) -> int:
    """Train both, judge both, compare."""
    folder = Path("outputs/demo") / datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S-%f")
    commands = []
    for name, options in ARMS.items():
        run = folder / name
        named = {entry.partition("=")[0] for entry in overrides}  # a key is given once
        kept = [option for option in options if option.partition("=")[0] not in named]
        commands.append(["train", *kept, f"hydra.run.dir={run}", *overrides])
        judged = [f"run={run}", "part=held_out", "baselines=[]", MEASURES, "progress=false"]
        commands.append(["evaluate", *judged])
    commands.append(["report", f"runs={folder}/*", f"out={folder}/report"])
    for room, *options in commands:
        print(f"\n$ python -m cryoalign.{room} {' '.join(options)}", flush=True)
        failed = subprocess.run([sys.executable, "-m", f"cryoalign.{room}", *options], check=False).returncode
        if failed:
            return failed
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
