"""What a request says about thinking, and what a model of a given style makes of it.

A model that does not think ignores all of it, as its template does. One that thinks obeys a field
or refuses it by name.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from openk2.chat import PromptStyle, Thinking
from openk2.generation.request_error import RequestError

TYPES = {"enabled": True, "adaptive": True, "disabled": False}
# Names of published templates for the same switch; the second is other families'.
SWITCHES = ("thinking", "enable_thinking")
NO_FIELD = "this upstream has no field for it"


@dataclass(frozen=True)
class ThinkingFields:
    """The fields as the client sent them; None is "not sent".

    thinking: {"type": "enabled" | "adaptive" | "disabled", "budget_tokens": N, "keep": "all"}.
    reasoning_effort: "none" is without thinking; K2's models have no other levels.
    template: `chat_template_kwargs`: thinking, enable_thinking, preserve_thinking and
        reasoning_effort.
    hidden: no one reads the thoughts, so a model that can answer without them does.
    uncleared: of how many turns Anthropic's `clear_thinking` leaves the thoughts in the prompt.
    unasked: agents send a budget and "disabled" with every request here, whoever answers: where
        nothing can obey them, they are left out and not refused.
    budget_name: the field in which the client sent it.
    """

    thinking: Any = None
    reasoning_effort: Any = None
    template: Mapping[str, Any] = field(default_factory=dict)
    hidden: bool = False
    uncleared: int | Literal["all"] | None = None
    unasked: bool = False
    budget_name: str = "thinking.budget_tokens"


@dataclass(frozen=True)
class ThinkingPlan:
    """What is rendered, and how many tokens of thought there may be at most."""

    thinking: Thinking = field(default_factory=Thinking)
    budget: int | None = None


def plan_thinking(style: PromptStyle, fields: ThinkingFields) -> ThinkingPlan:
    """The plan of a request. Raises RequestError naming the field that the model cannot obey."""
    if not style.thinks:
        return ThinkingPlan()
    asked = asked_thinking(fields)
    enabled = agreed(switches(fields, asked))
    if enabled is False and not style.stops:
        name = next(n for n, value in switches(fields, asked).items() if value is False)
        raise refused(name, "this model always thinks")
    if enabled is None and fields.hidden and style.stops:
        enabled = False
    kept = keeps(fields, asked) | cleared(style, fields, enabled)
    keep = agreed(kept)
    if keep is not None and not kept_so(style, keep, enabled):
        name = next(iter(kept))
        raise refused(name, keep_problem(style, keep))
    return ThinkingPlan(Thinking(enabled, keep), budget_of(asked) if enabled is not False else None)


def asks_to_think(fields: ThinkingFields, *, can_stop: bool) -> bool | None:
    """Whether the fields say to think, for a model that is elsewhere and may know levels of effort;
    None if they say nothing. can_stop: whether the model can be told not to. Raises RequestError if
    they are wrong, differ or cannot be obeyed, unless they came `unasked`."""
    asked = asked_thinking(fields)
    effort = fields.reasoning_effort or fields.template.get("reasoning_effort")
    rest = {k: v for k, v in fields.template.items() if k != "reasoning_effort"}
    found = switches(replace(fields, reasoning_effort=None, template=rest), asked)
    if effort is not None:
        found["reasoning_effort"] = effort != "none"
    enabled = agreed(found)
    if enabled is False and not (can_stop or fields.unasked):
        raise refused(next(iter(found)), NO_FIELD)
    return enabled


def keeps_thoughts(fields: ThinkingFields, enabled: bool | None, *, can_keep: bool) -> bool | None:
    """Whether the fields say that earlier thoughts stay, for a model that is elsewhere; None if
    they say nothing. enabled: whether to think. can_keep: whether the model can be told to keep
    them. Raises RequestError if they differ or cannot be obeyed."""
    kept = keeps(fields, asked_thinking(fields)) | cleared(None, fields, enabled)
    keep = agreed(kept)
    if keep and not can_keep:
        raise refused(next(iter(kept)), NO_FIELD)
    return keep


def thinking_budget(fields: ThinkingFields) -> int | None:
    """How many tokens of thought there may be at most; None for any number. Raises RequestError."""
    return budget_of(asked_thinking(fields))


def refuse_budget(fields: ThinkingFields) -> None:
    """Raise RequestError for a budget where nothing can enforce it, unless it came `unasked`."""
    if fields.unasked or thinking_budget(fields) is None:
        return
    name = fields.budget_name
    raise RequestError(f"{name} cannot be enforced here: leave it out", name)


def asked_thinking(fields: ThinkingFields) -> Mapping[str, Any]:
    """The `thinking` object, empty if there is none. Raises RequestError for another value."""
    asked = fields.thinking
    if asked is None:
        return {}
    kind = asked.get("type") if isinstance(asked, Mapping) else None
    if not isinstance(asked, Mapping) or not isinstance(kind, str) or kind not in TYPES:
        shown = reprlib.repr(asked)
        raise RequestError(
            f"thinking is {shown}: its type must be one of {list(TYPES)}", "thinking"
        )
    return asked


def switches(fields: ThinkingFields, asked: Mapping[str, Any]) -> dict[str, bool]:
    """Everything that switches thinking on or off, by the field's name. Raises RequestError."""
    found = {"thinking": TYPES[asked["type"]]} if asked else {}
    for name in SWITCHES:
        if (value := flag(fields.template, name)) is not None:
            found[f"chat_template_kwargs.{name}"] = value
    efforts = {
        "reasoning_effort": fields.reasoning_effort,
        "chat_template_kwargs.reasoning_effort": fields.template.get("reasoning_effort"),
    }
    for name, effort in efforts.items():
        if effort == "none":
            found[name] = False
        elif effort is not None:
            raise refused(name, f"this model has no level of effort {reprlib.repr(effort)}")
    return found


def keeps(fields: ThinkingFields, asked: Mapping[str, Any]) -> dict[str, bool]:
    """Everything that says whether earlier thoughts stay, by the field's name."""
    found: dict[str, bool] = {}
    keep = asked.get("keep")
    if keep not in (None, "all"):
        raise RequestError(
            f'thinking.keep is {reprlib.repr(keep)}: it must be "all"', "thinking.keep"
        )
    if keep == "all":
        found["thinking.keep"] = True
    if (value := flag(fields.template, "preserve_thinking")) is not None:
        found["chat_template_kwargs.preserve_thinking"] = value
    return found


def cleared(
    style: PromptStyle | None, fields: ThinkingFields, enabled: bool | None
) -> dict[str, bool]:
    """What `clear_thinking` says of earlier thoughts, by the field's name. Raises RequestError.

    "all" clears nothing: it asks a model that has the choice to keep them, and says nothing to one
    whose template decides. style: None for a model that is elsewhere.
    """
    turns, name = fields.uncleared, "context_management"
    if turns == "all":
        chooses = style is not None and style.kept == "choice"
        return {name: True} if chooses and enabled is not False else {}
    if turns is None or enabled is False:
        return {}
    if turns != 1:
        kept = "this model keeps the thoughts of 1 turn or of all"
        problem = "only the thoughts of 1 turn or of all can be kept" if style is None else kept
        raise refused(name, f"{problem}, not of {turns}")
    return {name: False}


def kept_so(style: PromptStyle, keep: bool, enabled: bool | None) -> bool:
    """Whether the model's prompts can keep earlier thoughts so."""
    if style.kept == "choice":
        # No template was published for keeping thoughts while not thinking.
        return not keep or enabled is not False
    return keep == (style.kept == "all")


def keep_problem(style: PromptStyle, keep: bool) -> str:
    """Why they cannot."""
    if style.kept == "choice":
        return "this model keeps earlier thoughts only while it thinks"
    return f"this model {'never keeps' if keep else 'always keeps'} the thoughts of earlier turns"


def agreed(values: Mapping[str, bool]) -> bool | None:
    """What the fields say together; None if there are none. Raises RequestError if they differ."""
    if len(set(values.values())) > 1:
        first, says = next(iter(values.items()))
        second = next(name for name, value in values.items() if value != says)
        raise RequestError(f"{second} contradicts {first}: send one of them", second)
    return next(iter(values.values()), None)


def budget_of(asked: Mapping[str, Any]) -> int | None:
    """`thinking.budget_tokens`. Raises RequestError for what is no positive number."""
    budget = asked.get("budget_tokens")
    if budget is None:
        return None
    if type(budget) is not int or budget < 1:
        name = "thinking.budget_tokens"
        raise RequestError(f"{name} is {reprlib.repr(budget)}: it must be a positive number", name)
    return budget


def flag(values: Mapping[str, Any], name: str) -> bool | None:
    """A template variable that is true, false or absent. Raises RequestError for another value."""
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        place = f"chat_template_kwargs.{name}"
        raise RequestError(f"{place} is {reprlib.repr(value)}: it must be true or false", place)
    return value


def refused(name: str, problem: str) -> RequestError:
    """The refusal of a field that this model cannot obey."""
    return RequestError(f"{name} cannot be obeyed: {problem}; leave it out", name)
