"""Many requests after one declaration: each is a choice among the same tools.

Conversations as users have them hold one or two calls in a thousand tokens, which is little to
learn choosing from. Here a few tools with few parameters are declared, half of them about the same
thing. After most requests comes their call and a short result, which the assistant does not report.
Between them are requests that need several calls, that lack an argument or that no tool serves, and
small talk.
"""

from random import Random
from typing import Any

from openk2.synthesis.apis import episodes as e
from openk2.synthesis.apis.catalogue import Catalogue
from openk2.synthesis.apis.declaring import ApiTool
from openk2.synthesis.apis.dialogue import MOST_DECLARED, ApiDialogue, Call
from openk2.synthesis.apis.outcomes import ApiOutcome
from openk2.synthesis.apis.wishes import wish
from openk2.synthesis.values import Split

MOST_TOOLS, MOST_DRAWS = 6, 40
MOST_REQUIRED = 1  # parameters of a tool that must be given
MOST_SIZE = 420  # characters of a declaration, but the first
_DONE = ('{"ok": true}', '{"status": "ok"}', '{"status": "success"}', '{"success": true}', "{}")


def make_dense(rng: Random, split: Split, catalogue: Catalogue) -> dict[str, Any]:
    """One conversation: `messages`, `tools`, and `kinds`, one for each assistant turn."""
    dialogue = ApiDialogue(rng, split, catalogue)
    tools = _declared(dialogue, rng.randint(2, MOST_TOOLS))
    dialogue.complete = True
    for _ in range(rng.randint(3, 3 + len(tools))):
        episode = rng.choices(_EPISODES, _SHARES)[0]
        if episode is e.missing and not any(tool.requires for tool in tools):
            episode = _called
        episode(dialogue)
    declarations = [tool.declaration for tool in tools]
    return {"messages": dialogue.messages, "tools": declarations, "kinds": dialogue.kinds}


def _called(dialogue: ApiDialogue) -> None:
    """A request, its call, a short result."""
    tool = dialogue.draw_tool()
    arguments = dialogue.draw_arguments(tool)
    dialogue.user(wish(dialogue.rng, tool.operation, arguments))
    result = ApiOutcome(dialogue.rng.choice(_DONE), "")
    dialogue.call("single", Call(tool, arguments, result))


_EPISODES: tuple[e.Episode, ...] = (_called, e.missing, e.parallel, e.refused, e.chat)
_SHARES = (58, 16, 14, 8, 4)


def _declared(dialogue: ApiDialogue, count: int) -> list[ApiTool]:
    """So many tools, or fewer of a small catalogue, in random order."""
    rng, catalogue = dialogue.rng, dialogue.catalogue
    for _ in range(MOST_DRAWS):
        tools = dialogue.tools
        near = tools and rng.random() < 0.5
        operation = catalogue.draw_near(rng, tools[0].operation) if near else catalogue.draw(rng)
        required = sum(field.required for field in operation.fields)
        if required > MOST_REQUIRED and tools:
            continue
        dialogue.add(operation, lean=True, most=MOST_SIZE if tools else MOST_DECLARED)
        if len(tools) == count:
            break
    rng.shuffle(dialogue.tools)
    return dialogue.tools
