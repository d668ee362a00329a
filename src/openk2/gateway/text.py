"""`SpeltOutput`: an upstream's text, with special tokens by name -> token ids.

For engines that do not send ids. The bytes of the ids joined are the text. The ids are usually the
ones the model chose, since text arrives one token at a time, but nothing depends on that.
"""

from collections.abc import Sequence

from openk2.chat import (
    SPECIAL_MARKERS,
    JsonState,
    Marker,
    SpeltMarkers,
    Tokenizer,
    advance_json,
)


class SpeltOutput:
    """Reads the text of one request; make a fresh one per request.

    before: the ids of the answer so far. The name of a special token inside a JSON string of a
    call's arguments is text, as in `OutputParser.feed_text`; anywhere else it is the token.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        names = {name: SPECIAL_MARKERS.get(name, Marker.OTHER) for name in tokenizer.specials}
        self._spelt = SpeltMarkers(names)
        self._place: JsonState | None = None  # in the JSON of a call's arguments
        self._held = ""  # text in which a name may be beginning
        begins = tokenizer.special("<|tool_call_argument_begin|>")
        for position in range(len(before) - 1, -1, -1):
            if before[position] == begins:
                arguments = tokenizer.decode(before[position + 1 :])
                self._place = advance_json(JsonState.OUTSIDE, arguments, 0, len(arguments))
                break
            if tokenizer.is_special(before[position]):
                break

    def feed(self, text: str) -> list[int]:
        """Take more text; returns the ids of the part that is certain."""
        text = self._held + text
        ids: list[int] = []
        start = seen = 0
        for begin, end, marker in self._spelt.find(text, 0):
            if self._place is not None:
                self._place, seen = advance_json(self._place, text, seen, begin), begin
                if self._place is not JsonState.OUTSIDE:
                    continue
            ids += self._tokenizer.encode(text[start:begin])
            ids.append(self._tokenizer.special(text[begin:end]))
            start = seen = end
            self._place = JsonState.OUTSIDE if marker is Marker.ARGUMENTS_BEGIN else None
        held = self._spelt.beginning(text, start)
        if self._place is not None:
            place = advance_json(self._place, text, seen, held)
            held = held if place is JsonState.OUTSIDE else len(text)
            self._place = advance_json(self._place, text, seen, held)
        self._held = text[held:]
        return ids + self._tokenizer.encode(text[start:held])

    def flush(self) -> list[int]:
        """End of the text: returns the ids of what was held back."""
        held, self._held = self._held, ""
        return self._tokenizer.encode(held)
