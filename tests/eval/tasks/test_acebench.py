"""ACEBench: made-up samples in the published format asked end to end, and the real references."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from inspect_ai import eval as run_eval
from inspect_ai.model import ChatMessage, ModelOutput

from openk2.eval.agents.airline import TravelAgency
from openk2.eval.agents.phone import Phone
from openk2.eval.agents.seed import same_state
from openk2.eval.inspect_task import Asking, inspect_task
from openk2.eval.streak import Streak
from openk2.eval.tasks.acebench import ACEBENCH, WEIGHTS, read_samples
from openk2.record import DataError

from .scripted import Play, called, calls, says, scripted

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("OPENK2_SHARED", ROOT.parent / "shared")) / "data" / "benchmarks"
CITY = {
    "name": "weather.of_city",
    "description": "Weather of a city.",
    "parameters": {
        "type": "dict",
        "required": ["city"],
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    },
}
SEND = {
    "name": "send_message",
    "description": "Send a message.",
    "parameters": {
        "type": "dict",
        "required": ["sender_name", "receiver_name", "message"],
        "properties": {
            key: {"type": "string"} for key in ("sender_name", "receiver_name", "message")
        },
    },
}
WIFI = {"name": "turn_on_wifi", "parameters": {"type": "dict", "required": [], "properties": {}}}
OLD = {"sender_id": "USR100", "receiver_id": "USR101", "message": "Hi.", "time": "2024-01-01"}
NEW = {"sender_id": "USR102", "receiver_id": "USR103", "message": "Tea?"}
END_STATE = [
    {"BaseApi": {"wifi": True, "logged_in": True}},
    {"MessageApi": {"inbox": {"1": OLD, "7": NEW}}},
]


def made_up(category: str, identity: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A question and its answer."""
    question: dict[str, Any] = {"id": identity, "question": "user: Oslo?\n", "function": [CITY]}
    truth: Any = {"weather.of_city": {"city": "Oslo", "days": 3}}
    if category == "special_incomplete":
        truth = {"weather.of_city": ["city"]}
    elif category == "special_error_param":
        truth = {"city": ["0slo"]}
    elif category == "special_irrelevant":
        truth = "Due to the limitations of the function, I cannot solve this problem."
    elif category.startswith("agent"):
        question |= {
            "question": "Ask Helen whether she wants tea.",
            "function": [SEND, WIFI],
            "initial_config": {"BaseApi": {"wifi": False, "logged_in": True}},
            "involved_classes": ["BaseApi", "MessageApi"],
            "path": [],
        }
        truth = END_STATE
    return question, {"id": identity, "ground_truth": truth}


def write(data: Path) -> Path:
    """A sample in each category, a dialogue of two turns in two of them."""
    folder = data / "acebench"
    (folder / "possible_answer").mkdir(parents=True)
    for category in WEIGHTS:
        dialogue = category.startswith("normal_multi_turn")
        names = [f"{category}_0_0", f"{category}_0_1"] if dialogue else [f"{category}_0"]
        pairs = [made_up(category, name) for name in names]
        for place, rows in ((folder, 0), (folder / "possible_answer", 1)):
            text = "".join(json.dumps(pair[rows]) + "\n" for pair in pairs)
            (place / f"data_{category}.json").write_text(text, encoding="utf-8")
    return folder


def right_answers(messages: Sequence[ChatMessage]) -> ModelOutput:
    """A model that does what the made-up samples ask for."""
    system = messages[0].text
    if "Beijing time" in system or "carries out a task" in system:
        done = called(messages)
        if "turn_on_wifi" not in done:
            return calls("turn_on_wifi")
        if "send_message" not in done:
            return calls("send_message", sender_name="Grace", receiver_name="Helen", message="Tea?")
        return says("Sent. finish conversation")
    return calls("weather_of_city", city="Oslo", days=3)


def user_answers(messages: Sequence[ChatMessage]) -> ModelOutput:
    assert "Ask Helen whether she wants tea." in messages[0].text
    return says("Please ask Helen, from Grace, whether she wants tea.")


def values(folder: Path, tmp_path: Path, play: Play, user: Play = user_answers) -> dict[str, Any]:
    """Sample -> its score, over the five groups of one sample each that follow."""
    chosen = (
        *("normal_atom_bool", "normal_multi_turn_user_adjust", "special_irrelevant"),
        *("agent_multi_turn", "agent_multi_step"),
    )
    samples = [s for s in read_samples(folder) if (s.metadata or {})["group"] in chosen]
    task = inspect_task(ACEBENCH, samples, Asking(concurrency=1), Streak())
    (log,) = run_eval(
        task,
        model=scripted(play),
        model_roles={"user": scripted(user)},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert log.status == "success", [s.error for s in log.samples or ()]
    assert log.samples is not None
    found = {}
    for sample in log.samples:
        (score,) = (sample.scores or {}).values()
        found[str(sample.id)] = score.value
        if str(sample.id).startswith("agent"):
            assert sample.messages[0].role == "system"
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data")


def test_a_model_that_does_everything_right(folder: Path, tmp_path: Path) -> None:
    assert values(folder, tmp_path, right_answers) == {
        "normal_atom_bool_0": 1.0,
        "normal_multi_turn_user_adjust_0": 1.0,
        "special_irrelevant_0": 0.0,  # it calls where it should point out
        "agent_multi_turn_0": 1.0,
        "agent_multi_step_0": 1.0,
    }


def test_a_model_that_only_excuses_itself(folder: Path, tmp_path: Path) -> None:
    excuse = '["Due to the limitations of the function, I cannot solve this problem."]'
    assert values(folder, tmp_path, lambda _: says(excuse)) == {
        "normal_atom_bool_0": 0.0,
        "normal_multi_turn_user_adjust_0": 0.0,
        "special_irrelevant_0": 1.0,
        "agent_multi_turn_0": 0.0,
        "agent_multi_step_0": 0.0,
    }


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("no_such_tool", {}),
        ("send_message", {}),
        ("send_message", {"sender_name": ["Grace"], "receiver_name": {}, "message": None}),
        ("turn_on_wifi", {"surprise": "\x00"}),
        ("weather_of_city", {"city": {"deep": [[[]]]}, "days": float("inf")}),
    ],
)
def test_nonsense_ends_and_is_wrong(
    name: str, arguments: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    def play(messages: Sequence[ChatMessage]) -> ModelOutput:
        return calls(name, **arguments)

    assert set(values(folder, tmp_path, play).values()) == {0.0}


def test_a_dialogue_with_one_wrong_turn_is_wrong(folder: Path, tmp_path: Path) -> None:
    asked = 0

    def play(messages: Sequence[ChatMessage]) -> ModelOutput:
        nonlocal asked
        asked += 1
        return right_answers(messages) if asked % 2 else says("nothing")

    assert values(folder, tmp_path, play)["normal_multi_turn_user_adjust_0"] == 0.0


def test_every_category_counts_by_the_published_weights(folder: Path) -> None:
    groups = [(sample.metadata or {})["group"] for sample in read_samples(folder)]
    assert sorted(groups) == sorted(WEIGHTS)
    assert ACEBENCH.protocol.groups["agent_multi_step"] == pytest.approx(0.1545 / 2)
    assert ACEBENCH.protocol.groups["special_irrelevant"] == pytest.approx(0.2676 / 3)
    assert ACEBENCH.protocol.groups["normal_preference"] == pytest.approx(0.578 / 12)


def test_a_question_without_an_answer_is_named(folder: Path) -> None:
    (folder / "possible_answer" / "data_normal_atom_list.json").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"data_normal_atom_list\.json"):
        read_samples(folder)


def test_a_phone_refuses_what_it_lacks() -> None:
    seed = {
        "inbox": {"1": OLD},
        "accounts": {"Eve": {"user_id": "U1", "password": "p", "balance": 100.0}},
    }
    config = {"BaseApi": {"wifi": False, "logged_in": False}}
    phone = Phone(seed, config, ["BaseApi", "MessageApi", "FoodPlatform"])
    before = phone.state()
    assert not phone.send_message("Eve", "Frank", "x")["status"]
    assert not phone.login_food_platform("Eve", "p")["status"]
    assert not phone.add_food_delivery_order("Eve", "Heytea", [])["status"]
    assert phone.state() == before
    phone.login_device()
    phone.turn_on_wifi()
    assert not phone.login_food_platform("Eve", "q")["status"]
    assert phone.login_food_platform("Eve", "p")["status"]
    dear = [{"product": "Cheese Milk Tea", "quantity": 5}]
    assert not phone.add_food_delivery_order("Eve", "Heytea", dear)["status"]
    assert phone.add_food_delivery_order("Eve", "Heytea", [dear[0] | {"quantity": 4}])["status"]
    assert phone.check_balance("Eve") == 0.0
    assert phone.send_message("Eve", "Frank", "x")["status"]
    assert phone.message_by_time("latest")["message_id"] == 1


def test_bags_cabins_and_refunds_are_paid() -> None:
    customer = {
        "user_name": "Eve",
        "password": "p",
        "cash_balance": 2000.0,
        "bank_balance": 4000.0,
        "membership_level": "regular",
    }
    agency = TravelAgency({"customers": {"u": customer}})
    assert "not suffice" in agency.reserve_flight("u", "p", "CZ4321", "Economy Class", "cash", 1)
    assert "res_1" in agency.reserve_flight("u", "p", "CZ4352", "Economy Class", "cash", 3)
    assert agency.users["u"]["cash_balance"] == 2000 - 1600 - 2 * 50
    agency.modify_flight("u", "res_1", new_cabin="Business Class", new_payment_method="bank")
    assert agency.users["u"]["bank_balance"] == 4000 - 900
    agency.cancel_reservation("u", "res_1", "other")
    assert agency.users["u"]["cash_balance"] == 300 + 2500
    assert "Wrong" in agency.reserve_flight("u", "q", "CZ4352", "Economy Class", "cash", 1)


def test_states_are_compared_by_the_published_rule() -> None:
    assert same_state(END_STATE, END_STATE)
    more = [END_STATE[0], {"MessageApi": {"inbox": {"1": OLD, "7": NEW, "8": NEW}}}]
    assert same_state(more, END_STATE)
    assert not same_state(END_STATE, more)
    assert not same_state([], END_STATE)
    other = [END_STATE[0], {"MessageApi": {"inbox": {"1": OLD, "7": NEW | {"message": "Milk?"}}}}]
    assert not same_state(other, END_STATE)
    assert not same_state([{"BaseApi": {"wifi": False, "logged_in": True}}, more[1]], END_STATE)


@pytest.fixture(scope="module")
def scorers() -> Iterator[ModuleType]:
    spec = spec_from_file_location("agent_scorers", ROOT / "benchmarks" / "agent_scorers.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["agent_scorers"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["agent_scorers"]


def test_references_count_and_corrupted_ones_do_not(scorers: ModuleType) -> None:
    if not (DATA / "acebench").is_dir():
        pytest.skip("ACEBench is not at hand: set OPENK2_SHARED")
    counts, found = scorers.failures(DATA, 120)
    assert set(counts) == set(WEIGHTS)
    assert found == []
