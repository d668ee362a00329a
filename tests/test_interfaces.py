"""A package is used through the names in its `__all__`, and a type name means one thing."""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import openk2

ROOT = Path(openk2.__file__).parent


def package_of(file: Path) -> str:
    """The package that a source file belongs to; "" for openk2/__init__.py."""
    parts = file.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file, parsed."""
    for file in sorted(ROOT.rglob("*.py")):
        yield file, ast.parse(file.read_text("utf-8"))


def public_names(package: str) -> set[str]:
    """The package's `__all__`."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that is imported from openk2, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("openk2."):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names if a.name.startswith("openk2."))


def test_packages_import_only_the_public_names_of_each_other() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    names = {package.name: public_names(package.name) for package in ROOT.iterdir()
             if (package / "__init__.py").exists()}  # fmt: skip
    for file, tree in trees():
        own = package_of(file)
        for module, name in imports(tree):
            package, *inside = module.removeprefix("openk2.").split(".")
            if package != own and (inside or name not in names[package]):
                found[f"{own or 'openk2'}: {module}"].append(f"{file.name} imports {name}")
    assert found == {}


def test_no_class_name_means_two_things() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for file, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(str(file.relative_to(ROOT)))
    twice = {name: files for name, files in defined.items() if len(files) > 1}
    assert twice == {}


@pytest.mark.parametrize("package", sorted(init.parent.name for init in ROOT.glob("*/__init__.py")))
def test_every_exported_name_exists_and_is_listed_once(package: str) -> None:
    module = importlib.import_module(f"openk2.{package}")
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []
