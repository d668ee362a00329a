"""TOML -> frozen dataclass, strictly.

Every key must be a field, every value must have the field's type; an unknown key is an error that
names the nearest one, because a misspelt setting that is ignored costs a training run.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class RecipeError(ValueError):
    """A recipe that cannot be obeyed; the message names the file, the key and the remedy."""


class MissingKeys(RecipeError):
    """A table without a key it needs; `read_recipe` reports those of the whole file at once."""


def read_recipe(path: Path, shape: type[T]) -> T:
    """Read the TOML file at `path` into dataclass `shape`. Raises RecipeError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path} does not exist: name a recipe file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return build(shape, data, "")
    except MissingKeys:
        named = ", ".join(repr(key) for key in missing_keys(shape, data, ""))
        are = "keys {} are" if "," in named else "key {} is"
        raise RecipeError(f"{path}: {are.format(named)} missing") from None
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def build(shape: type[T], data: dict[str, Any], where: str) -> T:
    """Build dataclass `shape` from a table; `where` is the table's dotted name, for messages."""
    assert dataclasses.is_dataclass(shape)
    kinds = typing.get_type_hints(shape)
    fields = {field.name: field for field in dataclasses.fields(shape) if field.init}
    for key in data:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            raise RecipeError(f"unknown key {where + key!r}; did you mean {where + near[0]!r}?")
    if absent := [name for name in required_fields(shape) if name not in data]:
        raise MissingKeys(f"key {where + absent[0]!r} is missing")
    values = {key: convert(kinds[key], value, where + key) for key, value in data.items()}
    try:
        result: T = shape(**values)
    except ValueError as error:
        raise RecipeError(f"{where.rstrip('.') or 'recipe'}: {error}") from error
    return result


def required_fields(shape: type[Any]) -> list[str]:
    """Names of the dataclass's fields that have no default."""
    nothing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(shape)
        if field.init and field.default is nothing and field.default_factory is nothing
    ]


def missing_keys(shape: type[Any], data: dict[str, Any], where: str) -> list[str]:
    """Dotted names of all keys that `data` and its tables lack, in the order of the fields."""
    missing = [where + name for name in required_fields(shape) if name not in data]
    kinds = typing.get_type_hints(shape)
    for key, value in data.items():
        item = table_type(kinds.get(key))
        if item is None:
            continue
        if isinstance(value, dict):
            missing += missing_keys(item, value, f"{where}{key}.")
        elif isinstance(value, list):
            for number, part in enumerate(value):
                if isinstance(part, dict):
                    missing += missing_keys(item, part, f"{where}{key}[{number}].")
    return missing


def table_type(kind: Any) -> type[Any] | None:
    """The dataclass that `kind`, an optional or a tuple of one included, is read into."""
    candidates = (kind, *typing.get_args(kind))
    return next(
        (k for k in candidates if isinstance(k, type) and dataclasses.is_dataclass(k)), None
    )


def convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated `kind`. Integers pass for floats; nothing else is coerced."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise RecipeError(f"{where!r} is {value!r}; it must be one of {list(arguments)}")
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise RecipeError(f"{where!r} is {value!r}; it must be a table")
        return build(kind, value, where + ".")
    if origin is tuple and isinstance(value, list):
        return tuple(convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if (
        not isinstance(kind, type)
        or not isinstance(value, kind)
        or isinstance(value, bool) != (kind is bool)
    ):
        wanted = getattr(kind, "__name__", str(kind))
        raise RecipeError(f"{where!r} is {value!r}; it must be a {wanted}")
    return value
