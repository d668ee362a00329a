"""`Nesting`: how deeply JSON text is nested so far, piece by piece."""

import re

_MARKS = re.compile(rb'["\\{}\[\]]')


class Nesting:
    """The state of JSON text so far.

    depth: lists and objects that are open.
    """

    __slots__ = ("_escaped", "_in_string", "depth")

    def __init__(self, depth: int = 0, in_string: bool = False, escaped: bool = False) -> None:
        self.depth = depth
        self._in_string, self._escaped = in_string, escaped

    def after(self, piece: bytes) -> "Nesting":
        """The state after a further piece."""
        depth = self.depth
        in_string, skip = self._in_string, 0 if self._escaped else -1
        for match in _MARKS.finditer(piece):
            mark, at = match[0], match.start()
            if at == skip:
                continue
            if in_string:
                if mark == b"\\":
                    skip = at + 1
                elif mark == b'"':
                    in_string = False
            elif mark == b'"':
                in_string = True
            elif mark in b"{[":
                depth += 1
            else:
                depth -= 1
        return Nesting(depth, in_string, skip == len(piece))
