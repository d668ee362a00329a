"""A seeded stream of conversations with tools from API descriptions."""

import json
from random import Random
from typing import Any

from openk2.synthesis.apis import episodes as e
from openk2.synthesis.apis.catalogue import Catalogue
from openk2.synthesis.apis.dialogue import Dialogue
from openk2.synthesis.systems import draw_system
from openk2.synthesis.values import Split

_EPISODES: tuple[e.Episode, ...] = (
    e.single, e.parallel, e.sequence, e.missing, e.ambiguous, e.refused, e.failure, e.follow_up,
    e.chat,
)  # fmt: skip
_SHARES = (36, 11, 7, 11, 5, 10, 7, 5, 8)
_COUNTS, _COUNT_SHARES = (1, 2, 3), (76, 19, 5)
_MOST_DECLARED = 1800


def make_conversation(rng: Random, split: Split, catalogue: Catalogue) -> dict[str, Any]:
    """One conversation: `messages`, `tools`, and `kinds`, one for each assistant turn."""
    dialogue = Dialogue(rng, split, catalogue)
    for episode in rng.choices(_EPISODES, _SHARES, k=rng.choices(_COUNTS, _COUNT_SHARES)[0]):
        episode(dialogue)
    if rng.random() < 0.08:
        e.farewell(dialogue)
    without = dialogue.calls == 0 and rng.random() < 0.2
    if without:
        dialogue.tools.clear()
        kinds = ["talk" if kind == "none_needed" else kind for kind in dialogue.kinds]
    else:
        kinds = list(dialogue.kinds)
        _add_distractors(dialogue)
    rng.shuffle(dialogue.tools)
    system = draw_system(rng, split)
    head = [] if system is None else [{"role": "system", "content": system}]
    tools = [tool.declaration() for tool in dialogue.tools]
    return {"messages": head + dialogue.messages, "tools": tools, "kinds": kinds}


def _add_distractors(dialogue: Dialogue) -> None:
    """Up to twelve tools in all, near misses among them, as long as the declarations are short."""
    rng = dialogue.rng
    called = [tool.operation for tool in dialogue.tools]
    target = min(rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10, 12)), 12)
    lean = target > 5 or rng.random() < 0.3
    size = sum(len(json.dumps(tool.declaration())) for tool in dialogue.tools)
    for _ in range(2 * target):
        if len(dialogue.tools) >= max(target, 1) or size > _MOST_DECLARED:
            return
        near = called and rng.random() < 0.55
        operation = dialogue.catalogue.draw_near(rng, rng.choice(called)) if near else \
            dialogue.catalogue.draw(rng)  # fmt: skip
        tool = dialogue.add(operation, lean=lean)
        if tool is not None:
            size += len(json.dumps(tool.declaration()))
