"""All checks, in the order of the report."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from openk2.verify.checks import (
    calling,
    choices,
    consistency,
    depth,
    ending,
    errors,
    ids,
    long_context,
    loops,
    messages,
    prompt_size,
    reference,
    scores,
    streaming,
    template,
    text,
    usage,
)
from openk2.verify.outcome import CheckOutcome
from openk2.verify.wire.probe import Probe


@dataclass(frozen=True)
class Check:
    """One check. name: as in --only. title: what it requires of an endpoint.

    alone: it measures what other requests at the same time would change, so it runs by itself.
    """

    name: str
    title: str
    run: Callable[[Probe], Awaitable[CheckOutcome]]
    alone: bool = False


INTERFACE = (
    Check("trigger", "calls a tool when one is wanted", calling.trigger),
    Check("schema", "arguments validate against the schema", calling.schema),
    Check("answer-form", "whole answers have OpenAI's form", streaming.answer_form),
    Check("stream-form", "streams have OpenAI's form", streaming.stream_form),
    Check("stream-equals-whole", "streams say the same", streaming.stream_equals_whole),
    Check("call-ids", "ids are functions.NAME:IDX", ids.call_ids),
    Check("id-echo", "ids come back and the counter goes on", ids.id_echo),
    Check("foreign-ids", "ids of other makes are accepted", ids.foreign_ids),
    Check("required", 'tool_choice "required"', choices.required),
    Check("named", "tool_choice by name", choices.named_tool),
    Check("none", 'tool_choice "none"', choices.none),
    Check("auto", 'tool_choice "auto", the default', choices.auto),
    Check("single-call", "parallel_tool_calls false", choices.single_call),
    Check("invalid-choice", "tool_choice that cannot be", choices.invalid_choice),
    Check("stop-tokens", "answers end by themselves", ending.stop_tokens),
    Check("special-text", "no special token in text", ending.special_text),
    Check("finish-reason", "finish_reason is right", ending.finish_reason),
    Check("stop-strings", "`stop` is obeyed", ending.stop_strings),
    Check("template-content", "forms of content", template.template_content),
    Check("template-system", "the implied system prompt", template.template_system),
    Check("template-tools", "the declaration of tools", template.template_tools),
    Check("template-results", "calls and results in the prompt", template.template_results),
    Check("template-exact", "exact prompt sizes", template.template_exact),
    Check("injection", "markup in content is text", template.injection),
    Check("tool-loop", "call, result, answer", loops.tool_loop),
    Check("unicode", "text of every script", text.unicode),
    Check("long-text", "10 kB texts, long arguments", text.long_text),
    Check("anthropic-stream", "order of /v1/messages", messages.anthropic_stream),
    Check("usage", "token counts", usage.usage),
    Check("error-shape", "OpenAI's error object", errors.error_shape),
    Check("context-overflow", "prompts that are too long", errors.context_overflow),
)

# What the endpoint's model computes. `--only numerics` means all of them.
NUMERICS = (
    Check("logprob-range", "log-probabilities can be true", scores.logprob_range, alone=True),
    Check("nan-signs", "no text that NaN makes", scores.nan_signs, alone=True),
    Check("repeatable", "again, the same scores", consistency.repeatable, alone=True),
    Check("batch", "in a batch, the same scores", consistency.batch, alone=True),
    Check("prefill-decode", "read as a prompt, the same", consistency.prefill_decode, alone=True),
    Check("prompt-count", "nothing is added to prompts", prompt_size.prompt_count, alone=True),
    Check(
        "chat-equals-raw", "the counted prompt is given", prompt_size.chat_equals_raw, alone=True
    ),
    Check("long-context", "all of a long prompt is read", long_context.long_context, alone=True),
    Check("depth", "and as well as a short one", depth.depth, alone=True),
    Check("reference", "the scores of a reference", reference.reference, alone=True),
)
CHECKS = INTERFACE + NUMERICS
GROUPS = {"numerics": NUMERICS}
