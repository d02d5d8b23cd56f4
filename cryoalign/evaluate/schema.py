"""``python -m cryoalign.evaluate.schema``: print the JSON schema of evaluation.json.

``docs/evaluation.schema.json`` is made by it.
"""

from __future__ import annotations

import json
import sys

from cryoalign.evaluate.document import document_schema


def main() -> None:
    """Print the schema."""
    sys.stdout.write(json.dumps(document_schema(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
