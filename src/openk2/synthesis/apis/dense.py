"""Many requests after one declaration: each is a choice among the same tools.

Conversations as users have them hold one or two calls in a thousand tokens, which is little to
learn choosing from. Here a few tools with few parameters are declared, half of them about the same
thing, and every request is followed by its call and a short result, which nobody tells.
"""

from random import Random
from typing import Any

from openk2.synthesis.apis.catalogue import Catalogue
from openk2.synthesis.apis.declaring import ApiTool
from openk2.synthesis.apis.dialogue import ApiDialogue, Call
from openk2.synthesis.apis.outcomes import ApiOutcome
from openk2.synthesis.apis.wishes import wish
from openk2.synthesis.values import Split

MOST_TOOLS, MOST_DRAWS = 6, 40
MOST_REQUIRED = 1  # parameters of a tool that must be given
MOST_SIZE = 420  # characters of a declaration
_DONE = ('{"ok": true}', '{"status": "ok"}', '{"status": "success"}', '{"success": true}', "{}")


def make_dense(rng: Random, split: Split, catalogue: Catalogue) -> dict[str, Any]:
    """One conversation: `messages`, `tools`, and `kinds`, one for each assistant turn."""
    dialogue = ApiDialogue(rng, split, catalogue)
    tools = _declared(dialogue, rng.randint(2, MOST_TOOLS))
    for _ in range(rng.randint(3, 3 + len(tools))):
        tool = rng.choice(tools)
        arguments = dialogue.draw_arguments(tool)
        dialogue.user(wish(rng, tool.operation, arguments))
        dialogue.call("single", Call(tool, arguments, ApiOutcome(rng.choice(_DONE), "")))
    declarations = [tool.declaration for tool in tools]
    return {"messages": dialogue.messages, "tools": declarations, "kinds": dialogue.kinds}


def _declared(dialogue: ApiDialogue, count: int) -> list[ApiTool]:
    """So many tools, or fewer of a small catalogue, in random order."""
    rng, catalogue = dialogue.rng, dialogue.catalogue
    tools: list[ApiTool] = []
    for _ in range(MOST_DRAWS):
        near = tools and rng.random() < 0.5
        operation = catalogue.draw_near(rng, tools[0].operation) if near else catalogue.draw(rng)
        required = sum(field.required for field in operation.fields)
        if required > MOST_REQUIRED and tools:
            continue
        tool = dialogue.add(operation, lean=True)
        if tool is not None and (tool.size <= MOST_SIZE or not tools):
            tools.append(tool)
        if len(tools) == count:
            break
    rng.shuffle(tools)
    return tools
