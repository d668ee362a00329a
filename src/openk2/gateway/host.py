"""`Host`: one upstream's chat completions, and requests in the form that it accepts.

Its kind is configured, or found out: by its address, its model card, or an error that only one kind
sends. What an error taught is forgotten after a while, since a proxy may lead to another host
tomorrow and one odd answer must not be remembered for ever.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

from openk2.chat import open_turn
from openk2.gateway.host_kind import UNKNOWN, HostKind, host_kinds, kind_of, kind_shown_by
from openk2.gateway.refused_fields import FORGET_AFTER_SECONDS, named_in
from openk2.gateway.upstream import Upstream
from openk2.generation import (
    ChatRequest,
    NamedTool,
    RequestError,
    asks_to_think,
    keeps_thoughts,
    refuse_budget,
    thinking_budget,
)

THOUGHT = "reasoning_content"
BUDGET = "budget_tokens"
# Fields that a strict host may not know, and that an answer can do without.
OPTIONAL = ("reasoning_content", "reasoning", "thinking", "chat_template_kwargs", BUDGET)
# A refusal of a field that is not known; "reasoning_content is missing" names it too.
UNKNOWN_FIELD = re.compile(
    r"extra (inputs|fields)|unknown|unexpected|unrecogni[sz]ed|not (permitted|allowed|supported)"
    r"|unsupported|cannot be enforced",
    re.IGNORECASE,
)

CONTINUES = ("partial", "final_message")  # values of HostKind.continuation
# The field of the body that each value of HostKind.thinking stands for.
THINKING_FIELDS = {
    "object": "thinking",
    "template": "chat_template_kwargs",
    "effort": "reasoning_effort",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HostForm:
    """What a host accepts, as far as it is known. refused: those of OPTIONAL that it refuses."""

    kind: HostKind
    refused: frozenset[str]

    def without(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are not refused."""
        return {name: value for name, value in fields.items() if name not in self.refused}


class Host:
    """upstream: whose requests these are. configured: its kind, None to find it out. repairs:
    whether to add and leave out what the host's kind needs. clock: seconds that never go back.

    counts: of each kind of repair. `fitted` may be called from any thread, the rest from one.
    """

    def __init__(
        self,
        upstream: Upstream,
        configured: str | None = None,
        *,
        repairs: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.upstream, self.configured, self.repairs = upstream, configured, repairs
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._shown: str | None = None
        self._shown_until = 0.0
        self._logged = UNKNOWN
        self._left_out = 0
        self._logged_how = False
        self._lock = Lock()  # of counts, _left_out and _logged_how

    @property
    def kind_name(self) -> str:
        """The kind, logged when it changes."""
        if self._shown is not None and self._clock() >= self._shown_until:
            self._shown = None
        name = self.configured or self._shown or kind_of(self.upstream.url, self.upstream.owner)
        if name != self._logged:
            logger.warning("upstream %s: its kind of host is %s", self.upstream.url, name)
            self._logged = name
        return name

    @property
    def form(self) -> HostForm:
        """What it accepts now."""
        accepted = self.upstream.refused.without(dict.fromkeys(OPTIONAL))
        return HostForm(host_kinds()[self.kind_name], frozenset(OPTIONAL).difference(accepted))

    def fitted(self, request: ChatRequest, form: HostForm) -> tuple[ChatRequest, dict[str, Any]]:
        """The request in a form of this host, and further fields of its body.

        Raises RequestError for what a request says about thinking, or begins of the answer, and
        this host cannot obey.
        """
        field = THINKING_FIELDS[form.kind.thinking]
        asked = asks_to_think(request.thinking, can_stop=field not in form.refused)
        budget = None if asked is False else self._budget(form, request)
        can_keep = form.kind.thinking != "effort" and field not in form.refused
        keep = keeps_thoughts(request.thinking, asked, can_keep=can_keep)
        fields = form.without(thinking_body(form.kind, request, asked, keep, budget))
        if request.stop and form.kind.usage_so_far:  # a stop string closes the connection
            fields["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        before = request.messages[: -1 if request.is_continued else None]
        first = open_turn(before) if keep is False else 0
        messages = self._with_thoughts(form, request.messages, asked is not False, first)
        if request.is_continued:
            self._log_how_to_continue(form.kind)
            messages[-1] = {**messages[-1], **continued_message(form.kind, len(messages) - 1)}
            fields |= continued_body(form.kind)
        tools = self._fitting_tools(form.kind, request)
        return replace(request, messages=messages, tools=tools), fields

    def _budget(self, form: HostForm, request: ChatRequest) -> int | None:
        """The tokens of thought that the host enforces. Raises RequestError for a budget that it
        does not, unless it came unasked."""
        if form.kind.budget and form.refused.isdisjoint((BUDGET, "thinking")):
            return thinking_budget(request.thinking)
        refuse_budget(request.thinking)
        return None

    def _with_thoughts(
        self, form: HostForm, messages: Sequence[Mapping[str, Any]], thinks: bool, first: int
    ) -> list[Mapping[str, Any]]:
        """The messages with each thought from index `first` on in the host's field, and
        placeholders where it demands one."""
        kind, placeholders = form.kind, 0
        taken = kind.thoughts != "refused" and kind.thought_field not in form.refused
        demanded = self.repairs and thinks and kind.thoughts == "demanded"
        fitted: list[Mapping[str, Any]] = []
        for index, message in enumerate(messages):
            if message.get("role") != "assistant":
                fitted.append(message)
                continue
            thought = index >= first and (message.get(THOUGHT) or message.get("reasoning"))
            rest = {k: v for k, v in message.items() if k not in (THOUGHT, "reasoning")}
            if not thought and demanded and message.get("tool_calls"):
                placeholders += 1
                thought = kind.placeholder
            fitted.append({**rest, kind.thought_field: thought} if thought and taken else rest)
        with self._lock:
            self.counts["reasoning_placeholder"] += placeholders
        return fitted

    def _log_how_to_continue(self, kind: HostKind) -> None:
        """Log once what lets a host of no known kind continue answers."""
        with self._lock:
            is_new = kind.continuation == "unknown" and not self._logged_how
            self._logged_how |= is_new
        if is_new:
            known = ", ".join(k for k, v in host_kinds().items() if v.continuation in CONTINUES)
            how = f"it is not known to continue answers; if it does, give --host-kind ({known})"
            logger.warning("upstream %s: %s", self.upstream.url, how)

    def _fitting_tools(self, kind: HostKind, request: ChatRequest) -> Sequence[Mapping[str, Any]]:
        """As many tools as the host takes."""
        if not self.repairs or not kind.most_tools or len(request.tools) <= kind.most_tools:
            return request.tools
        tools = most_useful(request, kind.most_tools)
        left_out = len(request.tools) - len(tools)
        with self._lock:
            self.counts["tools_left_out"] += left_out
            is_new, self._left_out = left_out != self._left_out, left_out
        if is_new:  # not with every turn of an agent
            url = self.upstream.url
            logger.warning("upstream %s takes %d tools: %d left out", url, len(tools), left_out)
        return tools

    def learn(self, error: str) -> Callable[[], None] | None:
        """What undoes the lesson, if the error shows how the request must be different, so that it
        is sent again; None if it teaches nothing new."""
        shown = kind_shown_by(error)
        if shown is not None and self.configured is None:
            before = self._shown, self._shown_until
            is_new = shown != self.kind_name
            self._shown, self._shown_until = shown, self._clock() + FORGET_AFTER_SECONDS
            return partial(self._show_again, *before) if is_new else None
        if shown is not None or not UNKNOWN_FIELD.search(error):
            return None
        named = named_in(error, OPTIONAL)
        # "thinking.budget_tokens" names both, and only the budget is refused.
        learned = self.upstream.refused.learn({BUDGET} if BUDGET in named else named)
        if not learned:
            return None
        logger.warning("upstream %s refuses %s", self.upstream.url, ", ".join(learned))
        return partial(self._send_again, learned)

    def _show_again(self, kind: str | None, until: float) -> None:
        self._shown, self._shown_until = kind, until

    def _send_again(self, fields: Sequence[str]) -> None:
        self.upstream.refused.accepted(fields)
        logger.warning("upstream %s: it was not for %s", self.upstream.url, ", ".join(fields))


def most_useful(request: ChatRequest, most: int) -> list[Mapping[str, Any]]:
    """`most` of the tools, in their order: the one that is demanded, those that the conversation
    has called, the latest first, then those that are declared first."""
    names = [tool["function"]["name"] for tool in request.tools]
    choice = request.tool_choice
    wanted = [choice.name] if isinstance(choice, NamedTool) else []
    for message in reversed(request.messages):
        wanted += called_names(message)
    order = {name: place for place, name in enumerate(dict.fromkeys([*wanted, *names]))}
    chosen = set(sorted(names, key=lambda name: order[name])[:most])
    return [tool for tool, name in zip(request.tools, names, strict=True) if name in chosen]


def called_names(message: Mapping[str, Any]) -> list[str]:
    """The tools that a turn calls; what is no call is reported by the host."""
    calls = message.get("tool_calls")
    functions = [
        call.get("function")
        for call in (calls if isinstance(calls, list | tuple) else ())
        if isinstance(call, Mapping)
    ]
    names = [one.get("name") for one in functions if isinstance(one, Mapping)]
    return [name for name in names if isinstance(name, str)]


def continued_message(kind: HostKind, index: int) -> dict[str, Any]:
    """What the last message, at this index, has for the host to continue it. Raises RequestError
    for a host that would begin a new turn, or may."""
    if kind.continuation not in CONTINUES:
        unknown = kind.continuation == "unknown"
        reason = "is not known to continue an answer" if unknown else "begins a new turn"
        place = f"messages[{index}]"
        problem = f"cannot be continued: this upstream {reason}; end with a user message"
        raise RequestError(f"{place} {problem}", place)
    return {"partial": True} if kind.continuation == "partial" else {}


def continued_body(kind: HostKind) -> dict[str, Any]:
    """The fields that tell the host to continue the last message."""
    if kind.continuation != "final_message":
        return {}
    return {"continue_final_message": True, "add_generation_prompt": False}


def thinking_body(
    kind: HostKind,
    request: ChatRequest,
    asked: bool | None,
    keep: bool | None,
    budget: int | None,
) -> dict[str, Any]:
    """The fields that tell the host what the request says about thinking; none if it says nothing.

    asked: whether to think. keep: whether earlier thoughts stay; where no field says that they do
    not, they are not sent. budget: tokens of thought that the host enforces.
    """
    fields = request.thinking
    if kind.thinking == "effort":
        effort = fields.reasoning_effort or fields.template.get("reasoning_effort")
        effort = "none" if asked is False else effort
        return {} if effort is None else {THINKING_FIELDS[kind.thinking]: effort}
    if kind.thinking == "object":
        if asked is None and not keep:
            return {}
        kept = {"keep": "all"} if keep else {}
        limit = {} if budget is None else {BUDGET: budget}
        switch = "disabled" if asked is False else "enabled"
        return {THINKING_FIELDS[kind.thinking]: {"type": switch, **kept, **limit}}
    arguments = {"thinking": asked, "preserve_thinking": keep}
    given = {name: value for name, value in arguments.items() if value is not None}
    return {THINKING_FIELDS[kind.thinking]: given} if given else {}
