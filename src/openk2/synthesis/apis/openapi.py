"""OpenAPI 2 and 3 documents: their operations. A `$ref` outside the document is not followed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.parameters import Shape, is_transport
from openk2.synthesis.apis.reading import Draft, make_operation

_METHODS = ("get", "post", "put", "patch", "delete")
_DEPTH = 4


def is_openapi(document: Any) -> bool:
    """Whether a JSON document is an OpenAPI description, of version 2 or 3."""
    return isinstance(document, dict) and isinstance(document.get("paths"), dict) and (
        "swagger" in document or "openapi" in document)  # fmt: skip


def read_openapi(document: Mapping[str, Any], source: str) -> Iterator[Operation]:
    """Yield the usable operations. `source` names the provider where the document does not."""
    info = document.get("info")
    provider = info.get("x-providerName") if isinstance(info, dict) else None
    reader = _Document(document, str(provider or source.rpartition("/")[2].removesuffix(".json")))
    for path, item in document["paths"].items():
        if isinstance(item, dict):
            for method in _METHODS:
                operation = item.get(method)
                if isinstance(operation, dict) and not operation.get("deprecated"):
                    made = reader.operation(path, method, item, operation)
                    if made is not None:
                        yield made


class _Document:
    def __init__(self, document: Mapping[str, Any], provider: str) -> None:
        self.document, self.provider = document, provider

    def operation(
        self, path: str, method: str, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> Operation | None:
        """The operation, or None if it is of no use."""
        shown = str(operation.get("operationId") or f"{method} {path}")
        texts = (operation.get("summary"), operation.get("description"))
        return make_operation(
            Draft(
                self.provider, shown, texts, partial(self._parameters, item, operation),
                partial(self._answer, operation),
            )
        )  # fmt: skip

    def _parameters(
        self, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> Sequence[tuple[str, Shape, bool]]:
        parameters: list[tuple[str, Shape, bool]] = []
        for raw in [*_list(item.get("parameters")), *_list(operation.get("parameters"))]:
            entry = self.resolved(raw)
            name, place = entry.get("name"), entry.get("in")
            if place in ("header", "cookie") or not isinstance(name, str):
                continue
            if place == "body":
                parameters += self.shape(entry.get("schema")).parts
            elif not is_transport(name):
                schema = entry.get("schema", entry)
                text = entry.get("description") or self.resolved(schema).get("description")
                required = bool(entry.get("required"))
                parameters.append((name, self.shape(schema, text), required))
        return [*parameters, *self._body(operation)]

    def _body(self, operation: Mapping[str, Any]) -> tuple[tuple[str, Shape, bool], ...]:
        content = self.resolved(operation.get("requestBody")).get("content")
        for kind, media in content.items() if isinstance(content, dict) else ():
            if "json" in kind or "form" in kind:
                return self.shape(_dict(media).get("schema")).parts
        return ()

    def _answer(self, operation: Mapping[str, Any]) -> Shape:
        responses = _dict(operation.get("responses"))
        for status in ("200", "201", "202"):
            response = self.resolved(responses.get(status))
            if "schema" in response:
                return self.shape(response["schema"])
            for media in _dict(response.get("content")).values():
                return self.shape(_dict(media).get("schema"))
        return Shape("")

    def resolved(self, node: Any) -> Mapping[str, Any]:
        """What a node or the reference in it stands for; {} if there is nothing there."""
        for _ in range(_DEPTH):
            if not isinstance(node, dict):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            node = self._at(reference)
        return {}

    def _at(self, reference: str) -> Any:
        node: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~").replace("%20", " ")
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def shape(self, node: Any, description: Any = None, depth: int = 0) -> Shape:
        """A schema's plain form, down to some levels."""
        schema = self.resolved(node)
        text = description or schema.get("description")
        text = text if isinstance(text, str) else ""
        type_ = schema.get("type")
        type_ = type_ if isinstance(type_, str) else ""
        if depth >= _DEPTH or "oneOf" in schema or "anyOf" in schema:
            return Shape("", text)
        parts = self._parts(schema, depth)
        if parts:
            return Shape("object", text, parts=tuple(parts.values()))
        items = self.shape(schema.get("items"), None, depth + 1) if type_ == "array" else None
        enum = schema.get("enum")
        form = schema.get("format")
        return Shape(type_, text, form if isinstance(form, str) else "",
                     tuple(enum) if isinstance(enum, list) else (), items)  # fmt: skip

    def _parts(self, schema: Mapping[str, Any], depth: int) -> dict[str, tuple[str, Shape, bool]]:
        parts: dict[str, tuple[str, Shape, bool]] = {}
        if depth >= _DEPTH:
            return parts
        for part in _list(schema.get("allOf")):
            parts |= self._parts(self.resolved(part), depth + 1)
        required = _list(schema.get("required"))
        for name, node in _dict(schema.get("properties")).items():
            if len(parts) >= 40:
                break
            if not _dict(node).get("readOnly") and isinstance(name, str):
                parts[name] = (name, self.shape(node, None, depth + 1), name in required)
        return parts


def _list(node: Any) -> list[Any]:
    return node if isinstance(node, list) else []


def _dict(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}
