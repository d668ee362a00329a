"""`judge`: what was right and wrong in a model's answer to one turn."""

import json
from dataclasses import dataclass
from typing import Any

from openk2.chat import ToolCall, argument_problem, read_json
from openk2.eval.turns import Turn, tells
from openk2.generation import ChatAnswer

# The worst first.
FAULTS = ("needless call", "no call", "no answer", "cut off", "wrong tool", "invalid arguments",
          "wrong arguments", "result not told")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One turn, judged.

    needed, called: whether the reference calls, whether the model did.
    cut_off: whether the output cap ended the answer. Such an answer is wrong, whatever it holds.
    answered: whether the model said something without a call, and to its end.
    right_tool: needed, and the names of the model's calls are the reference's, in any order.
    exact: right_tool, and the arguments too are equal as JSON.
    calls, valid_calls: the model's calls, and those whose arguments validate.
    tellable, told: whether the reference tells a value of the result just before, and whether the
    model's text tells every one that the reference tells.
    same_text: whether the model's text is the reference's, letters and digits alone.
    fault: of FAULTS; None if the turn is right. expected, got: both sides as one line of text.
    """

    turn: Turn
    called: bool
    cut_off: bool
    answered: bool
    right_tool: bool
    exact: bool
    calls: int
    valid_calls: int
    tellable: bool
    told: bool
    same_text: bool
    fault: str | None
    expected: str
    got: str

    @property
    def needed(self) -> bool:
        """See above."""
        return bool(self.turn.reference)


def judge(turn: Turn, answer: ChatAnswer) -> Verdict:
    """Compare an answer with what the reference did."""
    cut_off = answer.finish_reason == "length"
    answered = not answer.tool_calls and not cut_off and bool(answer.content.strip())
    right_tool = not cut_off and _right_tool(turn, answer)
    exact = right_tool and _same_arguments(turn, answer)
    valid = [_is_valid(turn, call) for call in answer.tool_calls]
    values = turn.told_values()
    told = not cut_off and all(tells(answer.content, value) for value in values)
    expected = "; ".join(f"{name} {canonical(arguments)}" for name, arguments in turn.reference)
    got = "; ".join(f"{call.name} {call.arguments}" for call in answer.tool_calls)
    return Verdict(
        turn=turn,
        called=bool(answer.tool_calls),
        cut_off=cut_off,
        answered=answered,
        right_tool=right_tool,
        exact=exact,
        calls=len(valid),
        valid_calls=sum(valid),
        tellable=bool(values),
        told=bool(values) and told,
        same_text=not cut_off and _letters(answer.content) == _letters(turn.text),
        fault="cut off" if cut_off else _fault(turn, answer, right_tool, exact, all(valid), told),
        expected=expected or turn.text,
        got=got or answer.content,
    )


def _letters(text: str) -> str:
    """Letters and digits in lower case, one space for all that is between them."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values: 5.0 is written 5."""
    plain = json.loads(json.dumps(value), parse_float=_number)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def canonical_arguments(call: ToolCall) -> str:
    """Arguments in canonical form; invalid JSON as it is, which equals no canonical form."""
    try:
        return canonical(read_json(call.arguments))
    except ValueError:
        return call.arguments


def _fault(
    turn: Turn, answer: ChatAnswer, right_tool: bool, exact: bool, valid: bool, told: bool
) -> str | None:
    if not turn.reference:
        if answer.tool_calls:
            return "needless call"
        if turn.text.strip() and not answer.content.strip():
            return "no answer"
        return None if told else "result not told"
    if not answer.tool_calls:
        return "no call"
    if not right_tool:
        return "wrong tool"
    if exact:
        return None
    return "wrong arguments" if valid else "invalid arguments"


def _right_tool(turn: Turn, answer: ChatAnswer) -> bool:
    expected = sorted(name for name, _ in turn.reference)
    return bool(expected) and expected == sorted(call.name for call in answer.tool_calls)


def _same_arguments(turn: Turn, answer: ChatAnswer) -> bool:
    expected = sorted((name, canonical(arguments)) for name, arguments in turn.reference)
    return expected == sorted((call.name, canonical_arguments(call)) for call in answer.tool_calls)


def _is_valid(turn: Turn, call: ToolCall) -> bool:
    functions = [tool["function"] for tool in turn.tools]
    schemas = {function["name"]: function.get("parameters") or {} for function in functions}
    return call.name in schemas and argument_problem(call.arguments, schemas[call.name]) is None
