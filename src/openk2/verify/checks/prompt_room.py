"""`PromptRoom`: how long prompts may be at an endpoint, and texts of a given number of tokens."""

from dataclasses import dataclass
from typing import Any

from openk2.verify.cases import user
from openk2.verify.passages import passage
from openk2.verify.wire.probe import NotOfferedError, Probe

# Tokens left free for the end of a prompt and its answer, and for a text that is denser than the
# one by which sizes were measured.
RESERVE = 64
ROOM = 0.9
# Characters of the text by which sizes are measured.
MEASURED = (500, 3000)
# Of a token, on average. Texts are made by it, which a wrong count would make gigabytes long.
MOST_WIDTH = 30.0


@dataclass(frozen=True)
class PromptRoom:
    """How long prompts may be. tokens: of the longest. told: what the endpoint says it holds.
    width: characters a token."""

    tokens: int
    told: int | None
    width: float

    @property
    def longest(self) -> int:
        """Tokens of a text that fits whatever it says, with something before and after it."""
        return int(ROOM * (self.tokens - RESERVE))

    @property
    def reach(self) -> str:
        """For a person: how far was looked."""
        if self.told is None or self.told <= self.tokens:
            return ""
        return f" (up to {self.tokens:,} of {self.told:,} tokens: --context {self.told} for all)"


async def prompt_room(probe: Probe) -> PromptRoom:
    """How long prompts can be here. Raises NotOfferedError without usage."""
    told = await told_context(probe)
    most = min(probe.context, told or probe.context)
    text = passage(f"{probe.seed}/width", sorted((*MEASURED, most))[1])
    part = text[:100]
    short, long = [await probe.prompt_tokens([user(one)]) for one in (part, text)]
    if long <= short:
        raise NotOfferedError(
            f"{len(text) - len(part)} characters add {long - short} tokens to a prompt"
        )
    width = (len(text) - len(part)) / (long - short)
    if width > MOST_WIDTH:
        raise NotOfferedError(f"prompts are counted as a token for {width:.0f} characters")
    return PromptRoom(most, told, width)


async def told_context(probe: Probe) -> int | None:
    """What the model's card says about its context; None if it says nothing."""
    listed = await probe.endpoint.get("/models")
    cards: list[dict[str, Any]] = listed.json()["data"] if listed.status == 200 else []
    for card in cards:
        told = card.get("max_model_len") or card.get("context_length")
        if card.get("id") == probe.model and isinstance(told, int) and told > 0:
            return told
    return None


def text_of(seed: str, tokens: int, width: float) -> str:
    """About this many tokens of sentences."""
    characters = max(int(tokens * width), 1)
    return passage(seed, characters)[:characters]
