"""When and what is called: trigger, schema."""

from typing import Any

from openk2.chat import argument_problem
from openk2.verify.cases import user, with_schema
from openk2.verify.decisions import agreement, decisions
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.schemas import KINDS, schemas
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply

SCHEMAS = len(KINDS)
SCHEMA_TOKENS = 400


async def trigger(probe: Probe) -> CheckOutcome:
    """F1 of "did it call a tool", the vendor's trigger similarity.

    It measures the weights more than the endpoint, so it fails only below --min-f1.
    """
    cases = decisions(probe.seed)
    replies = await all_of(probe.whole([user(c.question)], tools=c.tools) for c in cases)
    score = agreement([c.call for c in cases], [bool(reply.calls) for reply in replies])
    figure = f"F1 {score.f1:.2f}"
    seen = f"precision {score.precision:.2f}, recall {score.recall:.2f} of {len(cases)} decisions"
    measures = {"f1": score.f1, "precision": score.precision, "recall": score.recall}
    wrong = tuple(
        f"{'no call' if case.call else 'a call'} for {case.question!r}"
        for case, reply in zip(cases, replies, strict=True)
        if bool(reply.calls) != case.call
    )
    if probe.min_f1 is None:
        return CheckOutcome("pass", figure, f"{seen}; judged with --min-f1 only.", wrong, measures)
    if score.f1 < probe.min_f1:
        remedy = "compare the prompt with the template, and the weights with the published ones"
        seen = f"{seen}: less than --min-f1 {probe.min_f1:g}; {remedy}"
        return CheckOutcome("fail", figure, f"{seen}.", wrong, measures)
    return CheckOutcome("pass", figure, f"{seen}.", wrong, measures)


async def schema(probe: Probe) -> CheckOutcome:
    """Arguments of required, strict calls validate against the declared schema."""
    cases = schemas(probe.seed, SCHEMAS)
    pairs = await all_of(probe.both([user("Fill in the form.")], **form(case)) for case in cases)
    calls = faults = 0
    said: list[str] = []
    for number, (case, replies) in enumerate(zip(cases, pairs, strict=True)):
        for way, reply in zip(("whole", "streamed"), replies, strict=True):
            problems = argument_faults(reply, case)
            calls += len(reply.calls)
            faults += len(problems)
            said += [f"schema {number}, {way}: {problem}" for problem in problems]
    if not calls:
        return skipped("no call was made, so no arguments can be judged; `required` says why")
    return judged(
        calls,
        said,
        passed=f"the arguments of all calls validate, {len(cases)} schemas whole and streamed",
        remedy="enforce the schema by a grammar while decoding (strict)",
        measures={"accuracy": (calls - faults) / calls},
    )


def form(parameters: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that has to fill in one form."""
    tool = with_schema("fill_form", "Fill in the form.", parameters, strict=True)
    return {"tools": [tool], "tool_choice": "required", "max_tokens": SCHEMA_TOKENS}


def argument_faults(reply: Reply, parameters: dict[str, Any]) -> list[str]:
    """A line for each call whose arguments are not valid."""
    problems = (argument_problem(call.arguments, parameters) for call in reply.calls)
    return [problem for problem in problems if problem]
