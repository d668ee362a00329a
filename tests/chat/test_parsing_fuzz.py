"""Thousands of outputs that no model should write, each in a few cuts, as ids and as text."""

import random
from collections.abc import Iterable, Sequence

import pytest

from openk2.chat import (
    CallArguments,
    CallCounts,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    OutputParser,
    Tokenizer,
    join_events,
)
from openk2.chat.events import join_neighbours
from openk2.chat.markers import CALL_MARKERS, TEXT_MARKERS

outputs = pytest.mark.parametrize("outputs", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
TOOLS = ("search", "bash", "mcp-files.read")
NAMES = {"search": ["q"], "bash": ["cmd"], "mcp-files.read": ["q", "path"]}
IDS = [
    "functions.search:0", "functions.bash:1", "functions.mcp-files.read:2", "bash7", "search", "3",
    "functions.rm:0", " functions.bash:4\n", "",
]  # fmt: skip
ARGUMENTS = [
    "{}",
    '{"q": "<|tool_call_end|>"}',
    '{"cmd": 1}',
    ' {"path": [1]} ',
    "",
    '{"a": "',
    "x",
]
SNIPPETS = [
    *TEXT_MARKERS, *IDS, *ARGUMENTS, '"}', '"', "\\", "[", "<", "<|", "<|tool_call", "[EOS]",
    "<|im_end|>", " ", "\n", "so ", "漢", "😀", "\x00",
]  # fmt: skip


class Fuzzer:
    """Draws outputs from one seeded source."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self.random = random.Random(seed)
        self.tokenizer = tokenizer
        self.single_bytes = [i for i, token in enumerate(tokenizer.tokens) if len(token) == 1]
        self.markers = [[tokenizer.special(name)] for name in CALL_MARKERS]
        self.ids, self.arguments, self.snippets = (
            [tokenizer.encode(text) for text in texts] for texts in (IDS, ARGUMENTS, SNIPPETS)
        )

    def output(self) -> list[int]:
        """Damaged calls, markers, snippets, random ids and bytes, spliced and truncated."""
        ids: list[int] = []
        for _ in range(self.random.randrange(1, 10)):
            kind = self.random.random()
            if kind < 0.3:
                ids += self.call()
            elif kind < 0.5:
                ids += self.random.choice(self.markers)
            elif kind < 0.8:
                ids += self.random.choice(self.snippets)
            elif kind < 0.9:
                ids += self.random.choices(self.single_bytes, k=self.random.randrange(4))
            else:
                ids.append(self.random.randrange(-1, self.tokenizer.vocab_size + 1))
        if ids and self.random.random() < 0.3:
            start = self.random.randrange(len(ids))
            ids[self.random.randrange(len(ids)) :] = ids[start : start + 9]
        return ids[: self.random.randrange(len(ids) + 1)] if self.random.random() < 0.3 else ids

    def call(self) -> list[int]:
        """A call of which any part may be missing."""
        begin, arguments_begin, end = self.markers[2:]
        name, arguments = self.random.choice(self.ids), self.random.choice(self.arguments)
        parts = (begin, name, arguments_begin, arguments, end)
        return [i for part in parts if self.random.random() < 0.9 for i in part]

    def cut(self, output: Sequence[int]) -> list[Sequence[int]]:
        """The output in up to five pieces, empty ones among them."""
        edges = sorted(self.random.randrange(len(output) + 1) for _ in range(4))
        return [output[a:b] for a, b in zip([0, *edges], [*edges, len(output)], strict=True)]


def read(parser: OutputParser, pieces: Iterable[Sequence[int]]) -> list[OutputEvent]:
    return [event for piece in pieces for event in parser.feed(piece)] + parser.finish()


def check_stream(events: Sequence[OutputEvent], counts: CallCounts) -> None:
    """A well-formed stream: every end has its start, ids canonical and unique, counts right."""
    starts: list[CallStart] = []
    open_call: int | None = None
    ends = 0
    for event in events:
        match event:
            case CallStart(index, call_id, name):
                assert index == len(starts)
                assert name in TOOLS
                assert call_id == f"functions.{name}:{int(call_id.rpartition(':')[2])}"
                starts.append(event)
                open_call = index
            case CallArguments(index, text):
                assert index == open_call
                assert text
            case CallEnd(index):
                assert index == open_call
                open_call = None
                ends += 1
            case ContentDelta(text):
                assert text
                assert open_call is None
    assert len({start.id for start in starts}) == len(starts)
    assert counts.completed == ends
    assert len(starts) - ends == (open_call is not None) <= counts.truncated <= 1
    assert counts.invalid_arguments <= counts.completed
    assert counts.recovered <= len(starts)


@outputs
def test_fuzzed_outputs_give_well_formed_streams_whatever_the_cuts(
    tokenizer: Tokenizer, outputs: int
) -> None:
    fuzzer = Fuzzer(tokenizer, seed=4)
    seen = CallCounts()
    begins = tokenizer.special("<|tool_call_begin|>")
    for _ in range(outputs):
        ids = fuzzer.output()
        parser = OutputParser(tokenizer, TOOLS, argument_names=NAMES)
        whole = read(parser, [ids])
        check_stream(whole, parser.counts)
        again = OutputParser(tokenizer, TOOLS, argument_names=NAMES)
        assert join_neighbours(read(again, fuzzer.cut(ids))) == join_neighbours(whole), ids
        assert again.counts == parser.counts, ids
        counts = parser.counts
        read_ids = ids[: next((n for n, i in enumerate(ids) if i in tokenizer.stop_ids), None)]
        spelt = tokenizer.decode(i for i in read_ids if 0 <= i < tokenizer.vocab_size)
        begun = counts.completed + counts.undeclared + counts.truncated
        assert read_ids.count(begins) <= begun <= spelt.count("<|tool_call_begin|>"), ids
        seen += counts
    # The fuzzer reaches what it is meant to reach.
    assert min(vars(seen).values()) > outputs // 100, seen


@outputs
def test_fuzzed_texts_give_well_formed_streams_whatever_the_cuts(
    tokenizer: Tokenizer, outputs: int
) -> None:
    fuzzer = Fuzzer(tokenizer, seed=5)
    calls = 0
    for _ in range(outputs):
        ids = [i for i in fuzzer.output() if 0 <= i < tokenizer.vocab_size]
        text = tokenizer.decode(ids)
        cut = fuzzer.random.randrange(len(text) + 1)
        parser, again = (OutputParser(tokenizer, TOOLS, argument_names=NAMES) for _ in range(2))
        whole = parser.feed_text(text) + parser.finish()
        check_stream(whole, parser.counts)
        pieces = again.feed_text(text[:cut]) + again.feed_text(text[cut:]) + again.finish()
        assert join_neighbours(pieces) == join_neighbours(whole), (text, cut)
        assert again.counts == parser.counts, (text, cut)
        calls += len(join_events(whole).tool_calls)
    assert calls > outputs // 100
