"""ACEBench's comparison of calls: forty right ones that look wrong, forty the other way round."""

from typing import Any

import pytest

from openk2.eval.agents.same_call import WrittenCall, same_calls

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "date": {"type": "string"},
        "count": {"type": "integer"},
        "price": {"type": "number"},
        "open": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object"},
        "legs": {"type": "array", "items": {"type": "object"}},
        "matrix": {"type": "array", "items": {"type": "array"}},
        "note": {"type": "string"},
    },
    "required": ["city"],
}
FUNCTIONS = {"find": SCHEMA, "find_2": SCHEMA, "ping": {}}


def counts(calls: Any, answer: dict[str, Any]) -> bool:
    """calls: (name, arguments) pairs."""
    return same_calls([WrittenCall(*call) for call in calls], answer, FUNCTIONS)


def one(given: dict[str, Any] | None, reference: dict[str, Any]) -> bool:
    """One call of `find`; both sides get the required argument."""
    own = None if given is None else {"city": "Oslo", **given}
    return counts([("find", own)], {"find": {"city": "Oslo", **reference}})


RIGHT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"city": "oslo"}, {}),
    ({"city": "Oslo, Norway"}, {}),
    ({"city": "OSLO."}, {}),
    ({"city": "New-York"}, {"city": "New York"}),
    ({"city": "São Paulo"}, {"city": "Sa\u0303o Paulo"}),
    ({"city": "東京都"}, {"city": "東京"}),
    ({"city": "Coeur d’Alene"}, {"city": "Coeur d'Alene"}),
    ({"date": "2024/07/15"}, {"date": "2024-07-15"}),
    ({"date": "20240715"}, {"date": "2024-07-15"}),
    ({"date": "2024-07-15 10:00"}, {"date": "2024-07-15"}),
    ({"date": "15 July 2024"}, {"date": "15 July, 2024"}),
    ({"count": 5.0}, {"count": 5}),
    ({"count": 5}, {"count": 5.0}),
    ({"count": -3}, {"count": -3}),
    ({"count": 0}, {"count": 0}),
    ({"price": 0.30000000000000004}, {"price": 0.3}),
    ({"price": 1e3}, {"price": 1000}),
    ({"open": True}, {"open": True}),
    ({"open": "true"}, {"open": True}),
    ({"open": "False"}, {"open": False}),
    ({"tags": ["Red", "blue"]}, {"tags": ["red", "Blue"]}),
    ({"tags": ["wi-fi"]}, {"tags": ["WiFi"]}),
    ({"tags": []}, {"tags": []}),
    ({"place": {"lat": 1.5, "name": "Harbour"}}, {"place": {"name": "harbour", "lat": 1.5}}),
    ({"place": {"name": "the Old Town Hall"}}, {"place": {"name": "Town Hall"}}),
    ({"place": {"at": {"x": [1, 2]}}}, {"place": {"at": {"x": [1, 2.0]}}}),
    ({"legs": [{"to": "Rome"}, {"to": "Bari"}]}, {"legs": [{"to": "rome"}, {"to": "bari"}]}),
    ({"matrix": [[1, 2], [3]]}, {"matrix": [[1, 2], [3]]}),
    ({"note": "5 km"}, {"note": "5 km"}),
    ({"note": "5km"}, {"note": "5 km"}),
    ({"note": "5 km"}, {"note": "5"}),
    ({"note": "1,500 kcal"}, {"note": "1500"}),
    ({"note": "1.50 m"}, {"note": "1.5 m"}),
    ({"note": "5.0"}, {"note": "5"}),
    ({"note": "+1 (555) 010 0199"}, {"note": "+1 (555) 010-0199"}),
    ({"note": '{"a": 1, "b": [2]}'}, {"note": "{'a': 1, 'b': [2]}"}),
    ({"note": "-5 degrees"}, {"note": "-5"}),
    ({}, {"note": "optional, and left out"}),
    ({"note": None}, {"note": None}),
    ({"note": "b"}, {"note": ["a", "b"]}),
]
WRONG: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
    (None, {}),
    ({"city": "Osl"}, {}),
    ({"city": ["Oslo"]}, {}),
    ({"city": ""}, {}),
    ({"city": None}, {}),
    ({"city": "東"}, {"city": "東京"}),
    ({"date": "2024-07-16"}, {"date": "2024-07-15"}),
    ({"date": "2024-07-1"}, {"date": "2024-07-15"}),
    ({"date": "2024-07-150"}, {"date": "2024-07-15"}),
    ({"date": "07-15"}, {"date": "2024-07-15"}),
    ({"count": 6}, {"count": 5}),
    ({"count": "5"}, {"count": 5}),
    ({"count": True}, {"count": 1}),
    ({"count": 3}, {"count": -3}),
    ({"count": 5.5}, {"count": 5}),
    ({"count": [5]}, {"count": 5}),
    ({"price": 3.1}, {"price": 3.14}),
    ({"price": float("nan")}, {"price": 3.14}),
    ({"open": False}, {"open": True}),
    ({"open": 1}, {"open": True}),
    ({"open": "yes"}, {"open": True}),
    ({"tags": ["blue", "red"]}, {"tags": ["red", "blue"]}),
    ({"tags": ["red"]}, {"tags": ["red", "blue"]}),
    ({"tags": ["red", "blue", "green"]}, {"tags": ["red", "blue"]}),
    ({"tags": ["bright red"]}, {"tags": ["red"]}),
    ({"tags": "red"}, {"tags": ["red"]}),
    ({"tags": '["red"]'}, {"tags": ["red"]}),
    ({"place": {"lat": 1.5, "lon": 2}}, {"place": {"lat": 1.5}}),
    ({"place": {}}, {"place": {"lat": 1.5}}),
    ({"place": '{"lat": 1.5}'}, {"place": {"lat": 1.5}}),
    ({"place": {"lat": 11.5}}, {"place": {"lat": 1.5}}),
    ({"legs": [{"to": "Bari"}, {"to": "Rome"}]}, {"legs": [{"to": "Rome"}, {"to": "Bari"}]}),
    ({"matrix": [[1], [2, 3]]}, {"matrix": [[1, 2], [3]]}),
    ({"note": "15 km"}, {"note": "5"}),
    ({"note": "50"}, {"note": "5"}),
    ({"note": "1.5"}, {"note": "15"}),
    ({"note": "68"}, {"note": "6-8"}),
    ({"note": "-5"}, {"note": "5"}),
    ({"note": 5}, {"note": "5"}),
    ({"undeclared": 1}, {}),
]


@pytest.mark.parametrize(("given", "reference"), RIGHT)
def test_a_right_call_counts(given: dict[str, Any], reference: dict[str, Any]) -> None:
    assert one(given, reference)


@pytest.mark.parametrize(("given", "reference"), WRONG)
def test_a_wrong_call_does_not(given: dict[str, Any] | None, reference: dict[str, Any]) -> None:
    assert not one(given, reference)


@pytest.mark.parametrize("given", ["1." + "1" * 100_000 + ".x", "1.1" * 50_000, "- " * 50_000])
def test_a_long_answer_takes_no_time(given: str) -> None:
    assert not one({"note": given}, {"note": "5 km"})


def test_a_number_above_every_float_is_another_number() -> None:
    assert not one({"price": 10**400}, {"price": 1.5})
    assert not one({"count": 10**400}, {"count": 7})


def test_forty_of_each() -> None:
    assert len(RIGHT) == len(WRONG) == 40


def test_calls_are_assigned_one_to_one_in_any_order() -> None:
    answer = {"find_1": {"city": "York"}, "find_2": {"city": "New York"}, "ping": {}}
    # `find_2` is declared too, so the key names that function.
    york, new_york, ping = (
        ("find", {"city": "York"}),
        ("find_2", {"city": "New York"}),
        ("ping", {}),
    )
    assert counts([ping, new_york, york], answer)
    assert not counts([york, ping, york], answer)
    assert not counts([york, new_york], answer)
    assert not counts([york, new_york, ping, ping], answer)


def test_one_call_does_not_serve_two_references() -> None:
    answer = {"find_1": {"city": "York"}, "find_3": {"city": "New York"}}
    both = [("find", {"city": "New York"}), ("find", {"city": "York"})]
    assert counts(both, answer)
    assert counts(both[::-1], answer)
    assert not counts([both[1], both[1]], answer)


def test_a_missing_required_argument_is_wrong() -> None:
    assert not counts([("find", {"note": "x"})], {"find": {"city": "Oslo", "note": "x"}})
    assert not counts([("find", {})], {"find": {"note": "x"}})
    assert not counts([("ping", {"x": 1})], {"ping": {}})
    assert not counts([("pong", {})], {"ping": {}})
