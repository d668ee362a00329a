"""`SurrogatePairs`: text whose characters beyond the BMP a server may have cut in two.

JSON writes such a character as two escapes, and some servers send the first in one delta and the
second in the next. Python keeps each as a lone surrogate, which UTF-8 cannot encode.
"""

import re

LONE = re.compile("[\ud800-\udfff]")
HIGH = re.compile("[\ud800-\udbff]\\Z")


class SurrogatePairs:
    """Joins the halves within one text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""  # a high surrogate whose low one may follow

    def feed(self, text: str) -> str:
        """The text that is certain. A surrogate that has no other half stays as it is."""
        text, self._held = self._held + text, ""
        if not LONE.search(text):
            return text
        if HIGH.search(text):
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def flush(self) -> str:
        """What is held back, at the end of the text."""
        held, self._held = self._held, ""
        return held
