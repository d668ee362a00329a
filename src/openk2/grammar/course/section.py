"""`ToolSection`: K2's tool section: markers, ids and arguments, one call after another.

    <|tool_calls_section_begin|> ( <|tool_call_begin|> functions.NAME:IDX
    <|tool_call_argument_begin|> ARGUMENTS <|tool_call_end|> )+ <|tool_calls_section_end|>

Report appendix B. IDX counts the calls of the whole conversation. K2 sometimes begins a call
without its section, also inside a thought; such a call is taken, and may end the turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from openk2.chat import call_id
from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.lark import literal
from openk2.grammar.matcher import MaskWords, TokenVocabulary


class SectionStage(Enum):
    """What comes next."""

    FREE = auto()
    SECTION = auto()
    CALL = auto()
    HEADER = auto()
    ARGUMENTS = auto()
    NEXT = auto()
    STOP = auto()
    DONE = auto()


@dataclass(frozen=True)
class _State:
    """stage; header: its bytes so far; value: the arguments; calls: how many are complete.

    bare: whether the calls have no section.
    """

    stage: SectionStage
    header: bytes = b""
    value: OpenValue | None = None
    calls: int = 0
    bare: bool = False


class ToolSection:
    """The `Course` of tool calls. grammars: those of the declared tools' arguments, by name."""

    def __init__(
        self,
        vocabulary: TokenVocabulary,
        grammars: Mapping[str, ValueGrammar],
        *,
        required: bool,
        parallel: bool,
        first_number: int,
    ) -> None:
        self._vocabulary, self._grammars = vocabulary, grammars
        self._parallel, self._first = parallel, first_number
        self._state = _State(SectionStage.SECTION if required else SectionStage.FREE)

    @property
    def nesting(self) -> Nesting | None:
        """See `Course`."""
        value = self._state.value
        return value.nesting if value is not None else None

    def fill(self, words: MaskWords) -> None:
        """See `Course`."""
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.FREE:
            words[:] = ids.free
        elif state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            if state.value.fill(words):
                ids.allow(words, (ids.call_end,))
        else:
            words[:] = 0
            ids.allow(words, self._usual())

    def take(self, token_id: int) -> bool:
        """See `Course`."""
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.FREE:
            self._state = self._after_free(token_id)
        elif state.stage is SectionStage.ARGUMENTS and token_id != ids.call_end:
            assert state.value is not None
            state.value.take(token_id)
        else:
            self._state = self._after_marker(token_id)
        return True

    def shortest(self) -> int:
        """See `Course`: of calls that are optional the stop token alone."""
        if self._state.stage is SectionStage.FREE:
            return 1
        encode = self._vocabulary.encode
        calls = (
            len(encode(header)) + len(self._grammars[name].least_ids)
            for name, header in self._headers(b"")
        )
        # The section's two markers, the call's three and the stop token.
        return min(calls) + 6

    def remainder(self) -> str | None:
        """See `Course`."""
        if self._state.stage is SectionStage.HEADER:
            rests = self._rests()
            return f"start: {' | '.join(map(literal, rests))}" if all(rests) else None
        value = self._state.value
        return None if value is None else value.remainder()

    def _headers(self, header: bytes) -> list[tuple[str, bytes]]:
        """The tools that a call id may still name, each with what is missing of the id."""
        number = self._first + self._state.calls
        whole = [(name, call_id(name, number).encode()) for name in self._grammars]
        return [(n, text[len(header) :]) for n, text in whole if text.startswith(header)]

    def _usual(self) -> Sequence[int]:
        """`_markers`, but of a required section its own, and of an unambiguous id the first id."""
        if self._state.stage is SectionStage.SECTION:
            return [self._vocabulary.section_begin]
        if self._state.stage is SectionStage.HEADER:
            rest, *others = self._rests()
            if rest and not others:
                return self._vocabulary.encode(rest)[:1]
        return self._markers()

    def _rests(self) -> list[bytes]:
        return [rest for _, rest in self._headers(self._state.header)]

    def _markers(self) -> Sequence[int]:
        """The ids that may come outside text and arguments."""
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.HEADER:
            rests = self._rests()
            done = [ids.argument_begin] if b"" in rests else []
            return [*done, *(token for rest in rests for token in ids.beginnings(rest))]
        if state.stage is SectionStage.NEXT:
            another = [ids.call_begin] if self._parallel else []
            return [ids.section_end, *another, *(ids.stops if state.bare else ())]
        fixed = {SectionStage.SECTION: ids.openings, SectionStage.CALL: [ids.call_begin]}
        return [*fixed.get(state.stage, ids.stops)]

    def _after_free(self, token_id: int) -> _State:
        ids = self._vocabulary
        if token_id in ids.inner:
            raise ValueError(f"token {token_id} is not allowed here")
        if token_id in ids.openings:
            return self._after_opening(token_id)
        return _State(SectionStage.DONE) if token_id in ids.stops else self._state

    def _after_opening(self, token_id: int) -> _State:
        bare = token_id == self._vocabulary.call_begin
        return _State(SectionStage.HEADER if bare else SectionStage.CALL, bare=bare)

    def _after_marker(self, token_id: int) -> _State:
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            if not state.value.complete:
                raise ValueError("the arguments cannot end here")
            return _State(SectionStage.NEXT, calls=state.calls + 1, bare=state.bare)
        if token_id not in self._markers():
            raise ValueError(f"token {token_id} is not allowed here")
        if state.stage is SectionStage.HEADER and token_id != ids.argument_begin:
            return replace(state, header=state.header + ids.bytes_of(token_id))
        if state.stage is SectionStage.HEADER:
            name = next(name for name, rest in self._headers(state.header) if not rest)
            value = OpenValue(ids, self._grammars[name])
            return replace(state, stage=SectionStage.ARGUMENTS, value=value)
        if state.stage is SectionStage.SECTION:
            return self._after_opening(token_id)
        following = {ids.call_begin: SectionStage.HEADER, ids.section_end: SectionStage.STOP}
        return replace(state, stage=following.get(token_id, SectionStage.DONE))
