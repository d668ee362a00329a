"""Every requirement of pyproject.toml pinned to its lower bound, a line each, torch left out.

    python benchmarks/lowest_versions.py > requirements.txt

A bound that cannot be installed beside the others is a fault of pyproject.toml: pip says which.
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """`name>=1.2,<2` as `name==1.2`. Raises ValueError for one without a lower bound."""
    found = re.match(r"([\w.-]+)>=([\w.]+)(,<[\w.]+)?$", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} has no lower bound: write name>=version")
    return f"{found[1]}=={found[2]}"


def main() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        if not requirement.startswith((f"{project['name']}[", "torch>")):
            print(lowest(requirement))


if __name__ == "__main__":
    main()
