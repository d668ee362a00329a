"""Docstrings of what takes or gives tensors state shapes; methods of a paper name their source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import openk2

ROOT = Path(openk2.__file__).parent
PAPER_MAP = ROOT.parents[1] / "docs" / "paper_map.md"
# "[B, T]", "of any shape", "see `rotate` for shapes", "See `Passes`.": here or where that points.
SHAPE = re.compile(r"\[[^\]]*\]|\bshape|\b[Ss]ee `")
SOURCE = re.compile(r"[Rr]eport('s)?,? (section )?2\.|section 2\.\d|arXiv|DeepSeek|[Aa]lgorithm 1")


def public_functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods without an underscore, with their names."""
    for node in body:
        name = getattr(node, "name", "_")
        if isinstance(node, ast.ClassDef) and not name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{name}.")
        elif isinstance(node, ast.FunctionDef) and not name.startswith("_"):
            yield prefix + name, node


def about_tensors(function: ast.FunctionDef) -> bool:
    """Whether an annotation of the function names Tensor."""
    arguments = [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    annotations = [argument.annotation for argument in arguments] + [function.returns]
    names = [ast.unparse(annotation) for annotation in annotations if annotation is not None]
    return any(re.search(r"\bTensor\b", name) for name in names)


def test_public_functions_of_tensors_state_shapes() -> None:
    silent, count = [], 0
    for file in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        for name, function in public_functions(tree.body, ""):
            if about_tensors(function):
                count += 1
                if not SHAPE.search(ast.get_docstring(function) or ""):
                    silent.append(f"{file.relative_to(ROOT)}: {name}")
    assert count > 200
    assert silent == []


def test_modules_of_the_reports_methods_name_their_source() -> None:
    rows = [line for line in PAPER_MAP.read_text("utf-8").splitlines() if line.startswith("| 2.")]
    named = {name for row in rows for name in re.findall(r"[\w/]+\.py", row.split("|")[3])}
    modules = sorted(ROOT / name for name in named if not name.startswith("benchmarks/"))
    assert len(modules) > 20
    assert [str(m.relative_to(ROOT)) for m in modules if not SOURCE.search(m.read_text())] == []
