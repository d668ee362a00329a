"""Small API descriptions of made-up services, in each format that is read."""

import random
from typing import Any

OPENAPI_3: dict[str, Any] = {
    "openapi": "3.0.0",
    "info": {"title": "Library", "x-providerName": "api.library.test"},
    "paths": {
        "/members/{member_id}/loans": {
            "parameters": [{"$ref": "#/components/parameters/Member"}],
            "get": {
                "operationId": "listOpenLoans",
                "summary": "Lists the open loans of the specified member.",
                "parameters": [
                    {"name": "limit", "in": "query",
                     "description": "<b>How many</b> to show. More.",
                     "schema": {"type": "integer"}},
                    {"name": "sort_key", "in": "query",
                     "schema": {"type": "string", "enum": ["title", "due_date"]}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "api_key", "in": "query", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"content": {"application/json": {"schema": {
                    "type": "array", "items": {"$ref": "#/components/schemas/Loan"}}}}}},
            },
        },
        "/loans": {
            "post": {
                "operationId": "createLoan",
                "description": "Creates a loan.\n\nMuch more text.",
                "requestBody": {"content": {"application/json": {"schema": {
                    "type": "object", "required": ["book_id"], "properties": {
                        "book_id": {"type": "string", "format": "uuid"},
                        "copies": {"type": "array", "items": {"type": "integer"}},
                        "pickup": {"type": "object", "properties": {
                            "city": {"type": "string"}, "urgent": {"type": "boolean"}}},
                        "secret": {"type": "string", "description": "A token."},
                    }}}}},
                "responses": {"201": {"description": "made"}},
            },
        },
        "/raw": {
            "post": {
                "operationId": "uploadScan", "summary": "Uploads a scan.",
                "parameters": [{"name": "content", "in": "query", "required": True,
                                "schema": {"type": "string", "format": "binary"}}],
                "responses": {},
            },
            "delete": {"operationId": "deleteScan", "summary": "Deletes a scan.",
                       "deprecated": True, "responses": {}},
        },
    },
    "components": {
        "parameters": {"Member": {"name": "member_id", "in": "path", "required": True,
                                  "schema": {"type": "string"}}},
        "schemas": {"Loan": {"type": "object", "properties": {
            "title": {"type": "string"}, "due_date": {"type": "string", "format": "date"}}}},
    },
}  # fmt: skip
OPENAPI_2: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Gardens"},
    "paths": {
        "/plants": {
            "post": {
                "operationId": "plants.garden.add",
                "summary": "Add a plant",
                "parameters": [
                    {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/P"}}],
                "responses": {"200": {"schema": {"$ref": "#/definitions/P"}}},
            }
        }
    },
    "definitions": {"P": {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "height": {"type": "number"}}}},
}  # fmt: skip
BOTOCORE: dict[str, Any] = {
    "metadata": {"serviceId": "Kites"},
    "operations": {"DescribeKite": {
        "name": "DescribeKite", "input": {"shape": "In"}, "output": {"shape": "Out"},
        "documentation": "<p>Describes a kite. Kites fly.</p>"}},
    "shapes": {
        "In": {"type": "structure", "required": ["KiteName"], "members": {
            "KiteName": {"shape": "S", "documentation": "<p>The name of the kite.</p>"},
            "ClientToken": {"shape": "S"}, "Colour": {"shape": "E"}}},
        "Out": {"type": "structure", "members": {
            "KiteName": {"shape": "S"}, "Length": {"shape": "N"}, "FlownAt": {"shape": "T"}}},
        "S": {"type": "string"}, "N": {"type": "integer"}, "T": {"type": "timestamp"},
        "E": {"type": "string", "enum": ["red", "blue"]},
    },
}  # fmt: skip

_NOUNS = ("invoice", "parcel", "ticket", "lesson", "boat", "recipe", "sensor", "contract", "room")
_ADJECTIVES = ("open", "late", "draft", "public", "shared")
_EXTRA = (
    {"name": "limit", "schema": {"type": "integer"}},
    {"name": "city", "schema": {"type": "string"}},
    {"name": "notify", "schema": {"type": "boolean"}},
    {"name": "status", "schema": {"type": "string", "enum": ["ON_HOLD", "DONE"]}},
    {"name": "tags", "schema": {"type": "array", "items": {"type": "string"}}},
    {"name": "note", "schema": {"type": "string"}},
    {"name": "max_price", "schema": {"type": "number"}},
)


def made_up_service(number: int) -> dict[str, Any]:
    """A service of a provider of its own: some nouns, each to be listed, read, created, deleted."""
    rng = random.Random(number)
    paths: dict[str, Any] = {}
    for noun in rng.sample(_NOUNS, 4):
        key = {"name": f"{noun}_id", "required": True, "schema": {"type": "string"}}
        name = {"name": "name", "required": True, "schema": {"type": "string"}}
        deeds: list[tuple[str, list[Any]]]
        deeds = [(f"Lists {adjective} {noun}s.", []) for adjective in rng.sample(_ADJECTIVES, 2)]
        deeds += [(f"Gets a {noun}.", [name]), (f"Creates a {noun}.", [name]),
                  (f"Deletes the {noun}.", [key]), (f"Cancels a {noun}.", [key])]  # fmt: skip
        for index, (summary, needed) in enumerate(deeds):
            extra = rng.sample(_EXTRA, rng.randint(0, 3))
            parameters = [{**p, "in": "query"} for p in [*needed, *extra]]
            operation = {"summary": summary, "parameters": parameters, "responses": {}}
            paths[f"/{noun}/{index}"] = {"get": operation}
    info = {"title": "made up", "x-providerName": f"service{number}.test"}
    return {"openapi": "3.0.0", "info": info, "paths": paths}
