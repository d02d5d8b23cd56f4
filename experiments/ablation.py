"""Train with and without the RPSD term and print one table of both.

$ python experiments/ablation.py                          the demo
$ python experiments/ablation.py seed=1,2,3               the demo, three seeds each
$ python experiments/ablation.py data=stars data.sim=... data.raw=...

Every argument is one of ``python -m cryoalign.train -m``; the weight of the RPSD term is swept over 0.5 and
0. The table, and a page with the curves, are those of ``python -m cryoalign.report``.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def main(overrides: list[str]) -> int:
    """Run the sweep and compare its runs."""
    folder = Path("outputs/ablation") / datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S-%f")
    defaults = {"experiment=": "+experiment=demo", "loss.weights.rpsd": "loss.weights.rpsd=0.5,0"}
    given = [value for key, value in defaults.items() if not any(key in entry for entry in overrides)]
    train = ["cryoalign.train", "-m", *given, f"hydra.sweep.dir={folder}", *overrides]
    report = ["cryoalign.report", f"runs={folder}/*", f"out={folder}/report"]
    for command in (train, report):
        failed = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if failed:
            return failed
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
