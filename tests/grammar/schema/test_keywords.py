"""Keywords with their types checked, and where references point."""

from typing import Any

import pytest

from openk2.grammar import GrammarError
from openk2.grammar.schema.keywords import Subschema, referred


def place(schema: Any) -> Subschema:
    return Subschema("#", schema)


@pytest.mark.parametrize(
    ("method", "keyword", "good", "bad"),
    [
        ("count", "minItems", [0, 3, 2.0], [-1, 1.5, True, "1", [1], float("nan")]),
        ("number", "minimum", [0, -3, 1.5], [False, "1", {}, float("inf")]),
        ("text", "pattern", ["", "a"], [1, ["a"], {}, True]),
        ("names", "required", [[], ["a", "b"]], ["a", [1], {"a": 1}, ["a", None]]),
        ("schemas", "anyOf", [[], [True, {}]], [{}, "a", True]),
        ("mapping", "properties", [{}, {"a": 1}], [[], "a", True]),
    ],
)
def test_a_keyword_of_another_type_is_refused_by_name(
    method: str, keyword: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        read = getattr(place({keyword: value}), method)(keyword)
        if method == "schemas":
            assert [one.schema for one in read] == value
        else:
            assert read == (tuple(value) if method == "names" else value)
    for value in bad:
        with pytest.raises(GrammarError) as caught:
            getattr(place({keyword: value}), method)(keyword)
        assert (caught.value.pointer, caught.value.keyword) == ("#", keyword)
    empty = {"names": (), "schemas": (), "mapping": {}}.get(method)
    assert getattr(place({}), method)(keyword) == empty
    assert getattr(place(True), method)(keyword) == empty


def test_types_are_one_or_several_of_seven() -> None:
    assert place({"type": "integer"}).types() == {"integer"}
    assert place({"type": ["null", "object"]}).types() == {"null", "object"}
    assert place({}).types() is None
    for bad in ("text", ["null", "any"], 1, {"type": "null"}, [1]):
        with pytest.raises(GrammarError, match="must be of"):
            place({"type": bad}).types()


def test_subschemas_are_told_apart_by_their_place_alone() -> None:
    root = place({"items": {"type": "null"}, "properties": {"a/b~c": True}, "anyOf": [{}, {}]})
    assert root.below("items") == Subschema("#/items", False)
    assert root.below("anyOf", 0) != root.below("anyOf", 1)
    assert root.below("properties", "a/b~c").pointer == "#/properties/a~1b~0c"
    assert root.schemas("anyOf")[1].pointer == "#/anyOf/1"
    assert root.made("not", {}).pointer == "#/not"
    assert root.keywords() == {"items", "properties", "anyOf"}
    assert place(False).keywords() == frozenset()
    with pytest.raises(GrammarError, match="object or a boolean"):
        place([1])


ROOT = {
    "$id": "https://example.test/root",
    "$defs": {
        "a/b": {"type": "null"},
        "per%cent": {"type": "boolean"},
        "list": [{"const": 0}, {"const": 1}],
        "named": {"$anchor": "here", "type": "string"},
        "deep": {"anyOf": [{"items": {"$anchor": "there", "type": "array"}}]},
    },
}


@pytest.mark.parametrize(
    ("reference", "pointer"),
    [
        ("#", "#"),
        ("", "#"),
        ("#/$defs/a~1b", "#/$defs/a~1b"),
        ("#/$defs/per%25cent", "#/$defs/per%cent"),
        ("#/$defs/list/1", "#/$defs/list/1"),
        ("https://example.test/root#/$defs/a~1b", "#/$defs/a~1b"),
        ("https://example.test/root", "#"),
        ("#here", "#/$defs/named"),
        ("#there", "#/$defs/deep/anyOf/0/items"),
    ],
)
def test_a_reference_points_into_the_document(reference: str, pointer: str) -> None:
    found = referred(place(ROOT), Subschema("#/at", {"$ref": reference}))
    assert found is not None
    assert found.pointer == pointer
    assert referred(place(ROOT), place({})) is None


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("#/$defs/none", "does not exist"),
        ("#/$defs/list/2", "does not exist"),
        ("#/$defs/list/x", "does not exist"),
        ("#nowhere", "anchor 'nowhere'"),
        ("other.json#/a", "only references into"),
        ("https://example.test/other", "only references into"),
    ],
)
def test_a_reference_to_elsewhere_is_refused(reference: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message) as caught:
        referred(place(ROOT), Subschema("#/at", {"$ref": reference}))
    assert (caught.value.pointer, caught.value.keyword) == ("#/at", "$ref")
