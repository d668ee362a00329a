"""A package is used through what its `__init__.py` exports, and stays light to import."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import openk2

ROOT = Path(openk2.__file__).parent
PACKAGES = ("chat", "gateway", "generation", "grammar", "protocol", "server", "verify")


def imports_from_outside(package: str) -> Iterator[tuple[str, str, str]]:
    """(file, module, name) of each import of the package by another one."""
    name = f"openk2.{package}"
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT)
        if place.parts[0] == package:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{name}."):
                yield from ((str(place), str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (
                    (str(place), alias.name, "")
                    for alias in node.names
                    if f"{alias.name}.".startswith(f"{name}.")
                )


@pytest.mark.parametrize("package", PACKAGES)
def test_other_packages_import_only_what_is_exported(package):
    exported = set(importlib.import_module(f"openk2.{package}").__all__)
    past = [
        found
        for found in imports_from_outside(package)
        if found[1] != f"openk2.{package}" or found[2] not in exported
    ]
    assert past == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_exists_and_is_listed_once(package):
    module = importlib.import_module(f"openk2.{package}")
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)
