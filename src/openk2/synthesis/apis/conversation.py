"""A seeded stream of conversations with tools from API descriptions."""

from random import Random
from typing import Any

from openk2.synthesis.apis import episodes as e
from openk2.synthesis.apis.catalogue import Catalogue
from openk2.synthesis.apis.dialogue import ApiDialogue
from openk2.synthesis.systems import draw_system
from openk2.synthesis.values import Split

_EPISODES: tuple[e.Episode, ...] = (
    e.single, e.parallel, e.sequence, e.missing, e.ambiguous, e.refused, e.failure, e.follow_up,
    e.chat,
)  # fmt: skip
_SHARES = (36, 11, 7, 11, 5, 10, 7, 5, 8)
# Of the conversations that call nothing: those without any tool.
_BARE_SHARE = 0.2
_COUNTS, _COUNT_SHARES = (1, 2, 3), (76, 19, 5)
# Characters of JSON: what fits a row of 1,024 tokens at about 3.2 characters each.
_MOST, _LEAST_DECLARED, _MOST_DECLARED = 3000, 500, 2300


def make_conversation(rng: Random, split: Split, catalogue: Catalogue) -> dict[str, Any]:
    """One conversation: `messages`, `tools`, and `kinds`, one for each assistant turn."""
    dialogue = write_dialogue(rng, split, catalogue)
    system = draw_system(rng, split)
    head = [] if system is None else [{"role": "system", "content": system}]
    tools = [tool.declaration for tool in dialogue.tools]
    return {"messages": head + dialogue.messages, "tools": tools, "kinds": dialogue.kinds}


def write_dialogue(rng: Random, split: Split, catalogue: Catalogue) -> ApiDialogue:
    """A conversation's turns, and its tools among distractors in random order."""
    dialogue = ApiDialogue(rng, split, catalogue)
    count = rng.choices(_COUNTS, _COUNT_SHARES)[0]
    for episode in rng.choices(_EPISODES, _SHARES, k=count):
        episode(dialogue)
    if rng.random() < 0.08:
        e.farewell(dialogue)
    if dialogue.calls == 0 and rng.random() < _BARE_SHARE:
        dialogue.clear()
    else:
        _add_distractors(dialogue)
    rng.shuffle(dialogue.tools)
    return dialogue


def _add_distractors(dialogue: ApiDialogue) -> None:
    """Up to twelve tools in all, near misses among them, as long as the declarations are short."""
    rng = dialogue.rng
    called = [tool.operation for tool in dialogue.tools]
    target = min(rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12, 12)), 12)
    spent = sum(len(message["content"]) + 120 for message in dialogue.messages)
    room = min(max(_MOST - spent, _LEAST_DECLARED), _MOST_DECLARED)
    lean = target > 5 or rng.random() < 0.3
    size = sum(tool.size for tool in dialogue.tools)
    for _ in range(2 * target):
        if len(dialogue.tools) >= max(target, 1) or size > room - 150:
            return
        near = called and rng.random() < 0.55
        operation = dialogue.catalogue.draw_near(rng, rng.choice(called)) if near else \
            dialogue.catalogue.draw(rng)  # fmt: skip
        tool = dialogue.add(operation, lean=lean)
        if tool is not None:
            size += tool.size
