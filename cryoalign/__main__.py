"""``python -m cryoalign`` and ``cryoalign``: the list of commands, and each of them by name."""

from __future__ import annotations

from cryoalign.cli.command import main

if __name__ == "__main__":
    main()
