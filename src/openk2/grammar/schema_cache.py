"""`SchemaCache`: what was compiled, as long as it fits into a number of bytes."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class SchemaCache(Generic[V]):
    """Values by text, each with its size in bytes; the least recently used go first.

    Every method may be called from any thread.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self._lock = Lock()
        self.size = 0

    def get(self, text: str) -> V | None:
        """The value of a text; None if there is none."""
        with self._lock:
            if text not in self._values:
                return None
            self._values.move_to_end(text)
            return self._values[text][0]

    def put(self, text: str, value: V, size: int) -> None:
        """Keep a value, unless it is larger than all may be together."""
        size += len(text)
        with self._lock:
            if text in self._values or size > self._max_bytes:
                return
            self._values[text] = (value, size)
            self.size += size
            while self.size > self._max_bytes:
                _, (_, freed) = self._values.popitem(last=False)
                self.size -= freed
