"""`ConfigError`, and the checks of single values that raise it."""

import math
from typing import Any


class ConfigError(ValueError):
    """A config.json that openk2 cannot compute correctly; the message names field and value."""


def require_whole(name: str, value: Any, least: int) -> None:
    """Raise ConfigError unless `value` is a whole number of at least `least`."""
    if type(value) is not int or value < least:
        raise ConfigError(f"{name} is {value!r}: it must be a whole number, {least} or more")


def require_number(name: str, value: Any, above: float = -math.inf) -> None:
    """Raise ConfigError unless `value` is a finite number above `above`."""
    if type(value) not in (int, float) or not above < value < math.inf:
        bound = "" if above == -math.inf else f" above {above}"
        raise ConfigError(f"{name} is {value!r}: it must be a finite number{bound}")


def require_flag(name: str, value: Any) -> None:
    """Raise ConfigError unless `value` is true or false."""
    if type(value) is not bool:
        raise ConfigError(f"{name} is {value!r}: it must be true or false")


def require_one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(
            f"{name} is {value!r}; openk2 computes only " + " or ".join(map(repr, allowed))
        )


def read_object(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under `name`, empty if it is absent or null. Raises ConfigError for any other."""
    value = data.get(name)
    if not isinstance(value, dict | None):
        raise ConfigError(f"{name} is {value!r}; it must be an object or null")
    return value or {}
