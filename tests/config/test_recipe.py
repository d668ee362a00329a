from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from openk2.config import RecipeError, read_recipe


@dataclass(frozen=True)
class Inner:
    rate: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    steps: int
    inner: Inner
    parts: tuple[Inner, ...] = ()
    folder: Path | None = None
    on: bool = False
    other: Inner = field(default_factory=lambda: Inner(1.0))

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: at least 1")


def read(tmp_path: Path, text: str) -> Outer:
    file = tmp_path / "r.toml"
    file.write_text(text)
    return read_recipe(file, Outer)


def test_tables_lists_and_paths_become_dataclasses(tmp_path: Path) -> None:
    text = 'steps = 3\nfolder = "x"\n[inner]\nrate = 2\n[[parts]]\nrate = 0.5\nkind = "b"\n'
    expected = Outer(3, Inner(2.0), (Inner(0.5, "b"),), Path("x"))
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 3\n[inner]\nrat = 1", r"'inner\.rat'; did you mean 'inner\.rate'"),
        ("steps = 3", "'inner' is missing"),
        ("steps = true\n[inner]\nrate = 1", "'steps' is True"),
        ("steps = 1.5\n[inner]\nrate = 1", "'steps' is 1.5"),
        ('steps = 1\n[inner]\nrate = "1"', r"'inner\.rate' is '1'"),
        ('steps = 1\n[inner]\nrate = 1\nkind = "c"', r"'inner\.kind' is 'c'.*\['a', 'b'\]"),
        ("steps = 1\non = 1\n[inner]\nrate = 1", "'on' is 1"),
        ("steps = 1\ninner = 3", "'inner' is 3; it must be a table"),
        ("steps = 0\n[inner]\nrate = 1", "steps is 0"),
        ("steps = ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml does not exist"):
        read_recipe(tmp_path / "none.toml", Outer)


def test_all_missing_keys_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    text = '[inner]\nkind = "b"\n[[parts]]\nrate = 1\n[[parts]]\n'
    with pytest.raises(RecipeError, match=r"keys 'steps', 'inner\.rate', 'parts\[1\]\.rate' are"):
        read(tmp_path, text)


def test_an_unknown_key_is_reported_before_what_it_may_have_been_meant_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'steps'"):
        read(tmp_path, "step = 3\n[inner]\n")
