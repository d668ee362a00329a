"""Random schemas: the shapes hold exactly the values that the validator accepts."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openk2.grammar import GrammarError
from openk2.grammar.schema import Reading, admits, disjoint, read
from openk2.grammar.shapes import Shapes

NAMES = ["a", "b", "xc"]
SCALARS = [None, True, False, 0, 1, 2.5, "", "a", "abc"]
VALUES = [
    *SCALARS,
    *([], [0], ["a"], [0, "a"], [[]], [1, 1, 1], [None, True, 0, "a"]),
    *({}, {"a": 0}, {"b": "a"}, {"xc": None}, {"a": 0, "b": 1}, {"a": "a", "xc": True}),
    *({"a": {}, "b": [], "xc": 0}, {"y": 0}, {"a": 1, "y": "a"}, {"a": [0], "b": {"a": 0}}),
    *({"y": 0, "z": 0}, {"xc": 0, "xd": 0}, {"a": 0, "b": 0, "xc": 0, "y": 0}),
]
COUNTS = st.integers(0, 3)
NAME_SCHEMAS = [{"enum": ["a", "y"]}, {"minLength": 1}, {"pattern": "^[ay]"}]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    names = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
    parts: list[dict[str, Any]] = [
        {"properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)},
        {"required": names},
        {"additionalProperties": inner},
        {"patternProperties": st.dictionaries(st.sampled_from(["^x", "c$"]), inner, max_size=2)},
        {"propertyNames": st.sampled_from([*NAME_SCHEMAS, False, True])},
        {"minProperties": COUNTS},
        {"maxProperties": COUNTS},
        {"prefixItems": several},
        {"items": inner},
        {"minItems": COUNTS},
        {"maxItems": COUNTS},
        {"allOf": several},
        {"anyOf": several},
        {"oneOf": several},
        {"not": inner},
        {"if": inner, "then": inner},
        {"unevaluatedProperties": inner},
        {"unevaluatedItems": inner},
        {"contains": inner},
        {"contains": inner, "minContains": COUNTS},
        {"contains": inner, "maxContains": COUNTS},
        {"if": inner, "else": inner},
        {"dependentRequired": st.dictionaries(st.sampled_from(NAMES), names, max_size=1)},
        {"dependentSchemas": st.dictionaries(st.sampled_from(NAMES), inner, max_size=1)},
    ]
    one = st.sampled_from(parts).flatmap(st.fixed_dictionaries)
    return st.lists(one, min_size=1, max_size=3).map(joined)


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


LEAVES = st.one_of(
    st.booleans(),
    st.sampled_from(TYPES).map(lambda name: {"type": name}),
    st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True).map(
        lambda names: {"type": names}
    ),
    st.lists(st.sampled_from([*SCALARS, {"a": 0}, [0]]), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
    st.sampled_from([{"minimum": 1}, {"maxLength": 1}, {"pattern": "^a"}, {"const": 1}]),
)
SCHEMAS = st.recursive(LEAVES, larger, max_leaves=8)


def _narrowed(schema: Any) -> bool:
    """Whether not all that is valid may be held: see `denials` and `Choice`."""
    text = str(schema)
    return "oneOf" in text or ("anyOf" in text and "unevaluated" in text)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(SCHEMAS)
@example({"minProperties": 1, "properties": {"a": True}, "additionalProperties": False})
@example({"maxProperties": 1, "properties": {"a": True, "b": True}, "additionalProperties": False})
@example({"minProperties": 1, "properties": {"a": {"type": "integer"}}})
@example({"maxProperties": 2, "required": ["a"], "properties": {"a": True}})
@example({"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1}]})
@example({"oneOf": [{"required": ["a"]}, {"properties": {"a": False}}], "type": "object"})
@example({"dependentSchemas": {"a": {"required": ["b"]}}})
@example({"not": {"required": ["a", "b"]}})
@example({"allOf": [{"enum": [1, 2.5, "a"]}, {"type": "integer"}, {"minimum": 1}]})
def test_a_schemas_shapes_hold_what_is_valid_and_nothing_else(schema: Any) -> None:
    try:
        reading = read(schema)
    except GrammarError:
        return
    shapes = Shapes(reading.nodes, reading.root_node)
    validator = Draft202012Validator(schema)
    for value in VALUES:
        held = admits(shapes, shapes.node(shapes.root), value)
        if held or not _narrowed(schema):
            assert held == validator.is_valid(value), value


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SCHEMAS, SCHEMAS)
def test_what_is_proved_disjoint_has_no_value_in_common(first: Any, second: Any) -> None:
    try:
        reading = Reading({"prefixItems": [first, second]})
    except GrammarError:
        return
    shapes = Shapes(reading.nodes, reading.root_node)
    for array in shapes.node(shapes.root):
        if getattr(array, "prefix", ()) and len(array.prefix) == 2:
            nodes = [shapes.node(number) for number in array.prefix]
            both = [v for v in VALUES if all(admits(shapes, node, v) for node in nodes)]
            assert not (both and disjoint(shapes, *nodes)), both
