"""Faults in tool_choice and parallel calls, for the checks of `checks/choices.py`."""

import json

from verify.checks.faults.planting import each_call, refused


def choice_is(kind, instead):
    """Of requests with tools, this tool_choice is taken for another."""

    def ask(asked):
        given = asked.get("tool_choice")
        same = isinstance(given, dict) and "function" in given if kind == "named" else given == kind
        declared = json.dumps(asked.get("tools") or ())
        meant = kind != "named" or (same and given["function"]["name"] in declared)
        meant = meant and asked.get("max_tokens") == 256  # forms would all be filled in anew
        return {**asked, "tool_choice": instead} if asked.get("tools") and same and meant else asked

    return ask


def refuses_bare_auto(asked):
    return refused() if asked.get("tool_choice") == "auto" and not asked.get("tools") else asked


def undeclared_name(asked, call, number):
    if asked.get("tool_choice", "auto") == "auto" and len(asked["messages"]) == 1:
        call["function"]["name"] = "get_wether"


def second_call(asked, answer):
    calls = answer["choices"][0]["message"].get("tool_calls")
    if calls and asked.get("parallel_tool_calls") is False:
        calls.append({**calls[0], "id": calls[0]["id"].replace(":0", ":1")})


def takes_any_choice(asked):
    odd = asked.get("tool_choice") in ("sometimes", 7)
    return {k: v for k, v in asked.items() if k != "tool_choice"} if odd else asked


def required_without_tools(asked):
    bare = asked.get("tool_choice") == "required" and not asked.get("tools")
    return {k: v for k, v in asked.items() if k not in ("tool_choice", "tools")} if bare else asked


FAULTS = [
    ("required", {"ask": choice_is("required", "auto")}),
    ("named", {"ask": choice_is("named", "required")}),
    ("none", {"ask": choice_is("none", "auto")}),
    ("auto", {"ask": refuses_bare_auto}),
    ("auto", each_call(undeclared_name)),
    ("single-call", {"whole": second_call}),
    ("invalid-choice", {"ask": takes_any_choice}),
    ("invalid-choice", {"ask": required_without_tools}),
]
