"""`RefusedFields`: which optional fields an upstream refuses by name, for a while.

A refusal may quote the whole request, with every field that was sent. Such an echo names nothing:
only a field's name that does not stand before its own value counts.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# A newer engine behind the same URL may take the field, and one odd answer must not be remembered.
FORGET_AFTER_SECONDS = 600.0
# What follows a key in JSON, a Python dict, keyword arguments or YAML: the value that was sent.
ITS_VALUE = r"""[\\"']*\s*[:=]\s*(?:true|false|null|none|[\[({"'\\]|-?\d)"""


class RefusedFields:
    """The fields that one upstream refuses. May be used from any thread.

    clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def without(self, optional: Mapping[str, Any]) -> dict[str, Any]:
        """The fields to send: those that were not refused in the last FORGET_AFTER_SECONDS."""
        now = self._clock()
        return {k: value for k, value in optional.items() if self._until.get(k, now) <= now}

    def learn(self, fields: Iterable[str]) -> list[str]:
        """Leave these out from now on; return those that were not known to be refused."""
        until, fields = self._clock() + FORGET_AFTER_SECONDS, sorted(fields)
        new = [name for name in fields if name not in self._until]
        self._until |= dict.fromkeys(fields, until)
        return new

    def accepted(self, fields: Iterable[str]) -> list[str]:
        """Forget that these were refused, since they were taken; return those that had been."""
        return [name for name in fields if self._until.pop(name, None) is not None]


def named_in(message: str, fields: Iterable[str]) -> set[str]:
    """The fields that an error message names as words, other than before the value they had."""
    return {
        name
        for name in fields
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)(?!{ITS_VALUE})", message, re.IGNORECASE)
    }
