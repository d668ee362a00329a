"""`StopStrings`: find the first stop string in text that arrives in pieces.

What is found depends on the text alone and not on its pieces: the string that is complete first,
and of two that are complete at the same character the one that begins earlier.
"""

from collections.abc import Sequence


class StopStrings:
    """The search of one answer; make a fresh one per request.

    matched: the string that was found; None until then.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self.matched: str | None = None
        self._strings = tuple(strings)
        self._longest = max(map(len, strings), default=0)
        self._held = ""  # text that may be the start of a stop string

    def feed(self, text: str) -> str:
        """Take more text; returns what is certain to be before any stop string."""
        if self.matched is not None:
            return ""
        text = self._held + text
        found = [(text.find(string) + len(string), string) for string in self._strings]
        found = [(end, string) for end, string in found if end >= len(string)]
        if found:
            end, self.matched = min(found, key=lambda pair: (pair[0], -len(pair[1])))
            self._held = ""
            return text[: end - len(self.matched)]
        certain = len(text) - self._beginning(text)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """End of the text: returns what was held back."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """The length of the longest suffix of the text that starts a stop string."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            if any(string.startswith(text[-length:]) for string in self._strings):
                return length
        return 0
