"""The table of what is published of serving K2's family, beside what `openk2 plan serve` says.

    python benchmarks/serving_facts.py > benchmarks/serving_facts.md

The facts are tests/serving_facts.toml, which the tests hold the planner to.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from openk2.record import Table
from serving_facts import table

HEAD = """# Serving: published against planned

Written by `python benchmarks/serving_facts.py` from `tests/serving_facts.toml`. Sizes are bytes.
Rates: planned over published in brackets. `fitted` marks those that a share in `engines.toml` was
taken from; the others are checks.

"""


def main() -> None:
    """Print the page."""
    rows = Table(("published", "figure", "planned", "source"), tuple(table()))
    sys.stdout.write(HEAD + rows.markdown())


if __name__ == "__main__":
    main()
