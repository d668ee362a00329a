"""A seeded stream of conversations: which segments, which tools beside those called."""

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

from openk2.synthesis import episodes as e
from openk2.synthesis.apis import Catalogue, make_dense
from openk2.synthesis.apis import make_conversation as make_api_conversation
from openk2.synthesis.systems import draw_system
from openk2.synthesis.tools import Tool, Vocabulary, draw_tool
from openk2.synthesis.values import Split
from openk2.synthesis.vocabulary_held_out import HELD_OUT
from openk2.synthesis.vocabulary_train import TRAIN
from openk2.synthesis.weather import make_weather_tool

Conversation = dict[str, Any]

_ALL: tuple[e.Segment, ...] = (
    e.single,
    e.parallel,
    e.sequence,
    e.missing,
    e.failure,
    e.follow_up,
    e.once_more,
    e.refusal,
    e.chat,
    e.identity,
)
_SHARES = (34, 9, 6, 10, 5, 5, 6, 8, 8, 6)
_TALK: tuple[e.Segment, ...] = (e.chat, e.identity, e.memory)
_TALK_SHARES = (12, 3, 1)
_MULTI_SHARE = 0.22
TALK_SHARE = 0.2
_BARE_TALK_SHARE = 0.5
# Weather tools among the distractors: a request for something else must not call them.
_WEATHER_BESIDE = 0.15
_DISTRACTORS = (0, 1, 2, 3, 4, 5)
_DISTRACTOR_SHARES = (40, 26, 14, 9, 6, 5)


def generate(
    seed: int,
    count: int | None,
    split: Split = "train",
    *,
    start: int = 0,
    talk_share: float = TALK_SHARE,
    catalogue: Catalogue | None = None,
    api_share: float = 0.75,
    dense_share: float = 0.0,
) -> Iterator[Conversation]:
    """Yield conversations start, start + 1, ... (`count` of them, or without end).

    Each is `{"messages": [...], "tools": [...], "kinds": [...]}`: messages and tools in OpenAI's
    form, ids `functions.NAME:IDX`; kinds, what each assistant turn is. It is determined by seed,
    split, the shares and its index alone. "held_out" speaks of tools, verbs, parameters and values
    that "train" never has, and asks for common facts in phrasings of its own.

    talk_share: of the conversations that call nothing. With a catalogue (of the same split) a share
    `api_share` is about its operations, the rest as without one; of these, a share `dense_share` is
    one request after the other (`apis.make_dense`).
    """
    indices = itertools.count(start) if count is None else range(start, start + count)
    for index in indices:
        rng = Random(f"{seed}/{split}/{index}")
        if catalogue is not None and rng.random() < api_share:
            dense = dense_share > 0 and rng.random() < dense_share
            yield (make_dense if dense else make_api_conversation)(rng, split, catalogue)
        else:
            yield make_conversation(rng, split, talk_share)


def make_conversation(rng: Random, split: Split, talk_share: float = TALK_SHARE) -> Conversation:
    """One conversation: its segments, a system prompt, its tools among distractors."""
    vocabulary = TRAIN if split == "train" else HELD_OUT
    system = draw_system(rng, split)
    dialogue = e.Dialogue(rng, vocabulary, system)
    talk = rng.random() < talk_share
    for segment in _draw_segments(rng, talk):
        segment(dialogue)
    if rng.random() < 0.08:
        e.farewell(dialogue)
    head = [] if system is None else [{"role": "system", "content": system}]
    tools = [] if talk and rng.random() < _BARE_TALK_SHARE else _declare(dialogue)
    return {
        "messages": head + dialogue.messages,
        "tools": [t.declaration() for t in tools],
        "kinds": dialogue.kinds,
    }


def _draw_segments(rng: Random, talk: bool) -> list[e.Segment]:
    if talk:
        return rng.choices(_TALK, _TALK_SHARES, k=rng.choice((1, 1, 1, 2, 3, 4)))
    count = rng.choice((2, 2, 3)) if rng.random() < _MULTI_SHARE else 1
    return rng.choices(_ALL, _SHARES, k=count)


def _declare(dialogue: e.Dialogue) -> list[Tool]:
    """The tools called, and distractors of other purposes, in random order."""
    rng, vocabulary = dialogue.rng, dialogue.vocabulary
    tools = list(dialogue.used)
    names = {tool.name for tool in tools}
    purposes = {e.purpose(tool) for tool in tools} | dialogue.absent
    if dialogue.absent and not tools and rng.random() < 0.25:
        return []
    extra = rng.choices(_DISTRACTORS, _DISTRACTOR_SHARES)[0]
    for _ in range(max(extra, 0 if tools else 1)):
        tool = _distractor(rng, vocabulary, tools)
        if tool.name not in names and e.purpose(tool) not in purposes:
            tools.append(tool)
            names.add(tool.name)
            purposes.add(e.purpose(tool))
    rng.shuffle(tools)
    return tools[:6] if len(dialogue.used) == 0 else _keep_used(tools, dialogue.used)


def _distractor(rng: Random, vocabulary: Vocabulary, tools: list[Tool]) -> Tool:
    near = [tool.domain for tool in tools if tool.domain in vocabulary.domains]
    if near and rng.random() < 0.4:
        return draw_tool(rng, vocabulary, rng.choice(near))
    if vocabulary.split == "train" and rng.random() < _WEATHER_BESIDE:
        return make_weather_tool(rng)
    return draw_tool(rng, vocabulary)


def _keep_used(tools: list[Tool], used: list[Tool]) -> list[Tool]:
    """At most six tools, none of the called ones lost."""
    spare = max(6 - len(used), 0)
    others = [tool for tool in tools if tool not in used][:spare]
    return [tool for tool in tools if tool in used or tool in others]
