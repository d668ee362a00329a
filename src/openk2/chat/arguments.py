"""Whether a call's arguments are valid against the parameters of its tool (JSON Schema).

jsonschema is imported inside functions: most who render and parse never validate.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

KNOWN_SCHEMAS = 512


def read_json(text: str) -> Any:
    """The value of JSON text. Raises ValueError, also for Python's NaN and for endless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def schema_problem(schema: Any) -> str | None:
    """Why this is not a JSON Schema; None if it is one.

    An $id of an older draft, with a fragment, is accepted: the vendor's suite has such schemas.
    """
    from jsonschema import Draft202012Validator

    meta_schema = json.dumps(Draft202012Validator.META_SCHEMA)
    for error in _validator(meta_schema).iter_errors(schema):
        if list(error.absolute_path)[-1:] != ["$id"]:
            return str(error.message)
    return None


def argument_problem(arguments: str, schema: Mapping[str, Any] | bool) -> str | None:
    """Why arguments are not valid against a JSON Schema (Draft 2020-12); None if they are.

    The validators of the last KNOWN_SCHEMAS schemas are kept.
    """
    from referencing.exceptions import Unresolvable

    try:
        value = read_json(arguments)
    except ValueError as error:
        return f"the arguments are not JSON ({error})"
    try:
        problem = next(_validator(json.dumps(schema)).iter_errors(value), None)
    except (Unresolvable, re.error) as error:
        return f"the schema cannot be applied ({error})"
    except RecursionError:
        return "the arguments are nested too deeply"
    return None if problem is None else f"the arguments are not valid ({problem.message[:120]})"


@lru_cache(maxsize=KNOWN_SCHEMAS)
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator
    from jsonschema_specifications import REGISTRY

    # With its own registry: the default one would fetch foreign references from the web.
    return Draft202012Validator(json.loads(schema), registry=REGISTRY)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
