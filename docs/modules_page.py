"""Writes docs/modules.md: one sentence a module, taken from the module's own docstring.

python docs/modules_page.py            write the page
python docs/modules_page.py --check    exit with 1 if it is not what the code says
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, PAGE = ROOT / "src/openk2", ROOT / "docs/modules.md"

HEAD = """# Modules

One sentence a module, from its docstring. `make modules` writes this page, `make lint` checks it.
Packages and the directions of imports: [ARCHITECTURE.md](../ARCHITECTURE.md).
"""


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring. Raises ValueError if it has none."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring: say what it does")
    first = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", first)[0]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package in sorted({path.parent for path in SOURCE.rglob("*.py")}):
        modules = sorted(path for path in package.glob("*.py") if path.name != "__init__.py")
        opening = package / "__init__.py"
        if package == SOURCE or not (modules and opening.exists()):
            continue
        parts.append(f"\n## {package.relative_to(SOURCE).as_posix()}\n")
        if opening.read_text(encoding="utf-8").strip():
            parts.append(f"\n{sentence(opening)}\n")
        parts.append("\n")
        parts += [f"- **{path.stem}**: {sentence(path)}\n" for path in modules]
    return "".join(parts)


def main() -> None:
    """Write the page, or compare it."""
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/modules.md is not what the code says: make modules")


if __name__ == "__main__":
    main()
