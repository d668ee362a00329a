"""tau2: whole dialogues on five made-up tasks in the published format, with a scripted user."""

import json
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as run_eval
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelOutput

from openk2.eval.agents import tau2_world
from openk2.eval.agents.same_call import WrittenCall
from openk2.eval.inspect_task import Asking, inspect_task
from openk2.eval.streak import Streak
from openk2.eval.tasks.tau2 import (
    TAU2_AIRLINE,
    TAU2_RETAIL,
    TAU2_TELECOM,
    acted,
    basis_of,
    check_task,
    communicated,
)
from openk2.record import DataError

from .scripted import Play, called, calls, says, scripted

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = {
    "address1": "1 Quay",
    "address2": "",
    "city": "Bergen",
    "country": "Norway",
    "state": "VL",
    "zip": "5003",
}
CARD = {"source": "credit_card", "id": "card_1", "brand": "visa", "last_four": "0000"}


def order(number: int) -> dict[str, Any]:
    """A pending order of one lamp."""
    lamp = {"name": "Lamp", "product_id": "10", "item_id": "100", "price": 20.5, "options": {}}
    paid = {"transaction_type": "payment", "amount": 20.5, "payment_method_id": "card_1"}
    return {
        "order_id": f"#W{number}",
        "user_id": "kari_1",
        "address": ADDRESS,
        "items": [lamp],
        "status": "pending",
        "fulfillments": [],
        "payment_history": [paid],
    }


DATABASE = {
    "products": {
        "10": {
            "name": "Lamp",
            "product_id": "10",
            "variants": {
                "100": {"item_id": "100", "options": {}, "available": True, "price": 20.5}
            },
        }
    },
    "users": {
        "kari_1": {
            "user_id": "kari_1",
            "name": {"first_name": "Kari", "last_name": "Dahl"},
            "address": ADDRESS,
            "email": "kari@example.com",
            "payment_methods": {"card_1": CARD},
            "orders": [f"#W{n}" for n in range(5)],
        }
    },
    "orders": {f"#W{n}": order(n) for n in range(5)},
}


def task(number: int) -> dict[str, Any]:
    """Cancel one of the orders and say what comes back."""
    cancel = {"order_id": f"#W{number}", "reason": "no longer needed"}
    action = {"action_id": f"{number}_0", "name": "cancel_pending_order", "arguments": cancel}
    return {
        "id": str(number),
        "description": {"purpose": "made up", "relevant_policies": None, "notes": None},
        "user_scenario": {
            "persona": None,
            "instructions": {
                "domain": "retail",
                "reason_for_call": f"Cancel order #W{number}, no longer needed.",
                "known_info": "You are Kari Dahl, kari@example.com.",
                "unknown_info": None,
                "task_instructions": "Ask what you get back.",
            },
        },
        "initial_state": None,
        "evaluation_criteria": {"actions": [action], "communicate_info": ["20.5"]},
    }


def write(data: Path) -> Path:
    """Five tasks of a split, and one outside it."""
    folder = data / "tau2"
    retail, users = folder / "domains" / "retail", folder / "user_simulator"
    retail.mkdir(parents=True)
    users.mkdir()
    (retail / "db.json").write_text(json.dumps(DATABASE), encoding="utf-8")
    tasks = [task(n) for n in range(5)] + [task(0) | {"id": "outside"}]
    (retail / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    splits = {"base": [str(n) for n in range(5)], "train": ["outside"]}
    (retail / "split_tasks.json").write_text(json.dumps(splits), encoding="utf-8")
    (retail / "policy.md").write_text("Cancel what is pending.", encoding="utf-8")
    (users / "simulation_guidelines.md").write_text("Play the customer.", encoding="utf-8")
    return folder


def customer(messages: Sequence[ChatMessage]) -> ModelOutput:
    """A user that wants what its scenario says, and ends when the agent says it is done."""
    number = messages[0].text.partition("Cancel order #W")[2][0]
    if "refunded" in messages[-1].text:
        return says("Thanks. ###STOP###")
    return says(f"Please cancel order #W{number}; I no longer need it. What do I get back?")


def clerk(messages: Sequence[ChatMessage]) -> ModelOutput:
    """An agent that looks the customer up, cancels, and says what comes back."""
    assert "Cancel what is pending." in messages[0].text
    assert messages[1].role == "assistant"
    asked = next(m.text for m in messages if m.role == "user")
    number = asked.partition("#W")[2][0]
    done = called(messages)
    if "find_user_id_by_email" not in done:
        return calls("find_user_id_by_email", email="kari@example.com")
    if "cancel_pending_order" not in done:
        return calls("cancel_pending_order", order_id=f"#W{number}", reason="no longer needed")
    assert "cancelled" in next(m.text for m in reversed(messages) if m.role == "tool")
    return says("20.50 dollars will be refunded.")


def played(tmp_path: Path, agent: Play, user: Play = customer) -> dict[str, EvalSample]:
    """Sample -> what is logged, on one answer to each of the five tasks."""
    pytest.importorskip("inspect_evals.tau2", reason="tau2's tools are inspect-evals'")
    samples = TAU2_RETAIL.read(write(tmp_path / "data"))
    sample_task = inspect_task(TAU2_RETAIL, samples, Asking(concurrency=1, samples=1), Streak())
    (log,) = run_eval(
        sample_task,
        model=scripted(agent),
        model_roles={"user": scripted(user)},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert log.status == "success", [sample.error for sample in log.samples or ()]
    return {str(sample.id): sample for sample in log.samples or ()}


def values(samples: dict[str, EvalSample]) -> dict[str, Any]:
    """Sample -> its score."""
    return {
        identity: score.value
        for identity, sample in samples.items()
        for score in (sample.scores or {}).values()
    }


def test_a_good_agent_serves_all_five(tmp_path: Path) -> None:
    samples = played(tmp_path, clerk)
    assert values(samples) == {str(n): 1.0 for n in range(5)}
    sample = samples["3"]
    roles = [message.role for message in sample.messages]
    talk = ["assistant", "tool", "assistant", "tool", "assistant"]
    assert roles == ["system", "assistant", "user", *talk]
    assert [turn["role"] for turn in sample.metadata["user_messages"]] == [
        *("system", "user", "assistant", "user", "assistant"),
    ]
    assert sample.store == {}


def test_what_is_not_done_or_not_said_is_not_rewarded(tmp_path: Path) -> None:
    def silent(messages: Sequence[ChatMessage]) -> ModelOutput:
        answer = clerk(messages)
        return answer if answer.message.tool_calls else says("It will be refunded.")

    assert set(values(played(tmp_path / "a", silent)).values()) == {0.0}

    def idle(messages: Sequence[ChatMessage]) -> ModelOutput:
        return says("20.5 dollars will be refunded.")

    samples = played(tmp_path / "b", idle)
    assert set(values(samples).values()) == {0.0}
    assert samples["0"].metadata["rewards"] == {"DB": False, "COMMUNICATE": True}


def test_nonsense_ends_and_is_not_rewarded(tmp_path: Path) -> None:
    asked = 0

    def nonsense(messages: Sequence[ChatMessage]) -> ModelOutput:
        nonlocal asked
        asked += 1
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("no_such_tool", {}),
            ("cancel_pending_order", {}),
            ("cancel_pending_order", {"order_id": ["#W0"], "reason": 1}),
            ("calculate", {"expression": "9**9**9**9"}),
        ]
        name, arguments = wrong[asked % len(wrong)]
        return calls(name, **arguments)

    samples = played(tmp_path, nonsense)
    assert set(values(samples).values()) == {0.0}
    assert {sample.metadata["ending"] for sample in samples.values()} == {"failures"}


def test_a_dialogue_without_an_end_is_not_rewarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openk2.eval.tasks.tau2.STEPS", 15)

    def patient(messages: Sequence[ChatMessage]) -> ModelOutput:
        answer = customer(messages)
        return says("Hm.") if "STOP" in answer.completion else answer

    samples = played(tmp_path, clerk, patient)
    assert set(values(samples).values()) == {0.0}
    assert samples["0"].metadata["ending"] == "steps"


def test_without_the_package_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tau2_world, "PACKAGE", "no_such_package.tau2")
    with pytest.raises(DataError, match=r"pip install 'openk2\[tau2\]'"):
        TAU2_RETAIL.read(write(tmp_path))


def test_a_basis_that_needs_a_judge_is_refused() -> None:
    judged = task(0)
    judged["evaluation_criteria"]["reward_basis"] = ["DB", "NL_ASSERTION"]
    with pytest.raises(DataError, match="NL_ASSERTION"):
        check_task(judged, "tasks.json: task 0")
    check_task(task(0), "tasks.json: task 0")
    assert basis_of(task(0)) == ("DB", "COMMUNICATE")


def test_actions_are_compared_by_the_arguments_that_count() -> None:
    action = {"name": "refuel", "arguments": {"line": "L1", "gb": 2.0}}
    given = {"assistant": [WrittenCall("refuel", {"line": "L1", "gb": 2})], "user": []}
    assert acted([action], given)
    assert not acted([action | {"requestor": "user"}], given)
    assert not acted([action | {"name": "suspend"}], given)
    other = {"assistant": [WrittenCall("refuel", {"line": "L2", "gb": 2})], "user": []}
    assert not acted([action], other)
    assert acted([action | {"compare_args": ["gb"]}], other)
    assert acted([action | {"compare_args": []}], other)
    broken = {"assistant": [WrittenCall("refuel", None)], "user": []}
    assert not acted([action | {"compare_args": []}], broken)


def test_information_counts_only_if_the_agent_says_it() -> None:
    said: list[ChatMessage] = [ChatMessageAssistant(content="It costs 1,234.50 in all. Yes.")]
    assert communicated(["1234.50", "YES"], said)
    assert not communicated(["1234.51"], said)
    assert communicated([], [])


@pytest.mark.parametrize("domain", ["retail", "airline", "telecom"])
def test_real_references_are_rewarded_and_corrupted_ones_are_not(domain: str) -> None:
    pytest.importorskip("inspect_evals.tau2", reason="tau2's tools are inspect-evals'")
    spec = spec_from_file_location("tau2_scorers", ROOT / "benchmarks" / "tau2_scorers.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.failures(domain, None, 3) == (3, [])


def test_three_rows_by_the_published_protocol() -> None:
    for row in (TAU2_RETAIL, TAU2_AIRLINE, TAU2_TELECOM):
        assert row.protocol.samples == 4
        assert row.protocol.temperature == 0.0
        assert row.protocol.roles == ("user",)
