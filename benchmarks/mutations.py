"""`mutants_of`: every way to change one thing in a Python file, for benchmarks/mutants.py."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change. path: of the file below ROOT. source: the file's whole text with the change."""

    package: str
    path: str
    line: int
    change: str
    source: str


def changed(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each way to change one node by itself, with a word for it."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield "comparison", replaced(node, ops=[COMPARISONS[type(op)]()])
        case ast.BoolOp(op=op):
            yield "and/or", replaced(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.BinOp(op=op) if type(op) in OPERATORS and not is_text(node):
            yield "arithmetic", replaced(node, op=OPERATORS[type(op)]())
        case ast.AugAssign(op=op) if type(op) in OPERATORS:
            yield "arithmetic", replaced(node, op=OPERATORS[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield "negation", node.operand
        case ast.Constant(value=bool() as value):
            yield "constant", replaced(node, value=not value)
        case ast.Constant(value=int() as value):
            yield "constant", replaced(node, value=value + 1)
            yield "constant", replaced(node, value=value - 1)
        case ast.IfExp(body=body, orelse=orelse):
            yield "branches", replaced(node, body=orelse, orelse=body)
        case ast.Return(value=value) if value is not None and not is_none(value):
            yield "return", replaced(node, value=ast.Constant(None))
        case ast.Continue():
            yield "loop", ast.Break()
        case ast.Break():
            yield "loop", ast.Continue()
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "removed", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "removed", ast.Pass()


def replaced(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of the node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def is_text(node: ast.BinOp) -> bool:
    """Whether an operand is text: such arithmetic only raises."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
        for side in sides
    )


def is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


class Sites(ast.NodeVisitor):
    """The nodes worth changing: no annotations, messages, assertions, logs or type checks."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []

    def generic_visit(self, node: ast.AST) -> None:
        self.found.append(node)
        skipped = {"annotation", "returns", "decorator_list", "type_params"}
        if isinstance(node, ast.ClassDef):
            skipped |= {"bases"}
        for name, value in ast.iter_fields(node):
            if name in skipped:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)

    def visit_keyword(self, node: ast.keyword) -> None:
        # `strict=True` of zip is an assertion.
        if node.arg != "strict":
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None: ...

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # A type alias at the top of a module: `Words = NDArray[np.int32]`, `A = B | C`.
        alias = isinstance(node.targets[0], ast.Name) and node.targets[0].id[:2].istitle()
        if not alias:
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant) and "logger." not in ast.unparse(node):
            self.generic_visit(node)


def mutants_of(package: str, path: Path) -> list[Callable[[], Mutant]]:
    """Every mutant of a file, each made when it is called."""
    tree = ast.parse(path.read_text())
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    sites = Sites()
    sites.visit(tree)
    makers = []
    for node in sites.found:
        for kind, new in changed(node):

            def make(node: ast.AST = node, kind: str = kind, new: ast.AST = new) -> Mutant:
                line = getattr(node, "lineno", 0)
                before = ast.unparse(node)
                with exchanged(parents[node], node, new):
                    source = ast.unparse(ast.fix_missing_locations(tree))
                    change = f"{kind}: {before} -> {ast.unparse(new)}"
                where = str(path.relative_to(ROOT))
                return Mutant(package, where, line, " ".join(change.split())[:150], source)

            makers.append(make)
    return makers


class exchanged:
    """Within the block, `new` stands where `old` stood in its parent."""

    def __init__(self, parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
        self._parent, self._old, self._new = parent, old, new

    def __enter__(self) -> None:
        self._swap(self._old, self._new)

    def __exit__(self, *_: object) -> None:
        self._swap(self._new, self._old)

    def _swap(self, old: ast.AST, new: ast.AST) -> None:
        for name, value in ast.iter_fields(self._parent):
            if value is old:
                setattr(self._parent, name, new)
            elif isinstance(value, list) and any(item is old for item in value):
                value[[item is old for item in value].index(True)] = new
