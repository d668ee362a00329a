"""K2's tool section as a course: header, arguments, markers, one call after another.

    <|tool_calls_section_begin|> ( <|tool_call_begin|> functions.NAME:IDX
    <|tool_call_argument_begin|> ARGUMENTS <|tool_call_end|> )+ <|tool_calls_section_end|>

Report appendix B. IDX counts the calls of the whole conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from openk2.chat import call_id
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.lark import literal
from openk2.grammar.matcher import TokenVocabulary, Words

# More than any answer holds: what was known of an end no longer holds.
_UNKNOWN = 10**9


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

    single: no section may be begun any more.
    """

    stage: SectionStage
    header: bytes = b""
    value: OpenValue | None = None
    calls: int = 0
    forgone: bool = False


class ToolSection:
    """A `Course` of tool calls. grammars: the declared tools' arguments, by name."""

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
        self._state = self._before = _State(SectionStage.SECTION if required else SectionStage.FREE)
        self._by_value = False

    @property
    def owing(self) -> bool:
        """See `Course`."""
        return self._state.stage not in (SectionStage.FREE, SectionStage.DONE)

    def fill(self, words: Words) -> None:
        """See `Course`."""
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.FREE:
            words[:] = ids.free
            if state.forgone:
                ids.forbid(words, ids.section_begin)
        elif state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            if state.value.fill(words):
                ids.allow(words, (ids.call_end,))
        else:
            words[:] = 0
            ids.allow(words, self._usual())

    def take(self, token_id: int) -> None:
        """See `Course`. Raises ValueError for an id that may not come here."""
        self._before, state, ids = self._state, self._state, self._vocabulary
        self._by_value = False
        if state.stage is SectionStage.FREE:
            self._state = self._behind_free(token_id)
        elif state.stage is SectionStage.ARGUMENTS and token_id != ids.call_end:
            assert state.value is not None
            state.value.take(token_id)
            self._by_value = True
        else:
            self._state = self._behind_marker(token_id)

    def undo(self) -> None:
        """See `Course`."""
        if self._by_value:
            assert self._state.value is not None
            self._state.value.undo()
        self._state = self._before

    def bound(self) -> int:
        """See `Course`."""
        state = self._state
        if state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            return state.value.bound() + 3
        closing = self.closing()
        return _UNKNOWN if closing is None else len(closing)

    @property
    def opened(self) -> int:
        """See `Course`. Counts within one call's arguments."""
        value = self._state.value
        return self._state.calls * _UNKNOWN + (value.opened if value is not None else 0)

    @property
    def depth(self) -> int:
        """See `Course`."""
        value = self._state.value
        return value.depth if value is not None else 0

    def growth(self, opened: int) -> int:
        """See `Course`."""
        begun = opened - self._state.calls * _UNKNOWN
        if self._state.stage is not SectionStage.ARGUMENTS or begun < 0:
            return _UNKNOWN
        assert self._state.value is not None
        return self._state.value.growth(begun)

    def forgo(self) -> None:
        """See `Course`."""
        self._state = replace(self._state, forgone=True)

    def remainder(self) -> str | None:
        """See `Course`."""
        if self._state.stage is SectionStage.HEADER:
            rests = self._rests()
            return f"start: {' | '.join(map(literal, rests))}" if all(rests) else None
        value = self._state.value
        return None if value is None else value.remainder()

    def closing(self) -> list[int] | None:
        """See `Course`."""
        state, ids = self._state, self._vocabulary
        end = [ids.call_end, ids.section_end, ids.stop]
        if state.stage is SectionStage.FREE:
            return [ids.stop]
        if state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            closing = state.value.closing()
            return None if closing is None else closing + end
        if state.stage in (SectionStage.SECTION, SectionStage.CALL, SectionStage.HEADER):
            markers = {
                SectionStage.SECTION: [ids.section_begin, ids.call_begin],
                SectionStage.CALL: [ids.call_begin],
            }.get(state.stage, [])
            return markers + self._shortest_call(state.header) + end
        return {SectionStage.NEXT: [ids.section_end, ids.stop], SectionStage.STOP: [ids.stop]}.get(
            state.stage, []
        )

    def _shortest_call(self, header: bytes) -> list[int]:
        """Header and arguments of the call that takes the fewest ids."""
        calls = [
            [
                *self._vocabulary.encode(rest),
                self._vocabulary.argument_begin,
                *self._grammars[name].least_ids,
            ]
            for name, rest in self._headers(header)
        ]
        return min(calls, key=len)

    def _headers(self, header: bytes) -> list[tuple[str, bytes]]:
        """The tools that a header may still name, with what is missing of it."""
        number = self._first + self._state.calls
        whole = [(name, call_id(name, number).encode()) for name in self._grammars]
        return [(n, text[len(header) :]) for n, text in whole if text.startswith(header)]

    def _usual(self) -> Sequence[int]:
        """The markers; where a header has one way to go on, the usual first id of it."""
        if self._state.stage is SectionStage.HEADER:
            rest, *others = self._rests()
            if rest and not others:
                return self._vocabulary.encode(rest)[:1]
        return self._markers()

    def _rests(self) -> list[bytes]:
        return [rest for _, rest in self._headers(self._state.header)]

    def _markers(self) -> Sequence[int]:
        """The ids that may come where neither text nor arguments are written."""
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.HEADER:
            rests = self._rests()
            done = [ids.argument_begin] if b"" in rests else []
            return [*done, *(token for rest in rests for token in ids.beginnings(rest))]
        if state.stage is SectionStage.NEXT:
            return [ids.section_end, *([ids.call_begin] if self._parallel else [])]
        fixed = {SectionStage.SECTION: [ids.section_begin], SectionStage.CALL: [ids.call_begin]}
        return fixed.get(state.stage, ids.stops)

    def _behind_free(self, token_id: int) -> _State:
        ids = self._vocabulary
        begins = token_id == ids.section_begin
        if token_id in ids.inner or (begins and self._state.forgone):
            raise ValueError(f"token {token_id} is not allowed here")
        if begins:
            return _State(SectionStage.CALL)
        return _State(SectionStage.DONE) if token_id in ids.stops else self._state

    def _behind_marker(self, token_id: int) -> _State:
        state, ids = self._state, self._vocabulary
        if state.stage is SectionStage.ARGUMENTS:
            assert state.value is not None
            if not state.value.complete:
                raise ValueError("the arguments cannot end here")
            return _State(SectionStage.NEXT, calls=state.calls + 1)
        if token_id not in self._markers():
            raise ValueError(f"token {token_id} is not allowed here")
        if state.stage is SectionStage.HEADER and token_id != ids.argument_begin:
            return replace(state, header=state.header + ids.bytes_of(token_id))
        if state.stage is SectionStage.HEADER:
            name = next(name for name, rest in self._headers(state.header) if not rest)
            value = OpenValue(ids, self._grammars[name])
            return replace(state, stage=SectionStage.ARGUMENTS, value=value)
        following = {
            ids.section_begin: SectionStage.CALL,
            ids.call_begin: SectionStage.HEADER,
            ids.section_end: SectionStage.STOP,
        }
        return replace(state, stage=following.get(token_id, SectionStage.DONE))
