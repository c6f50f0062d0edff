"""The OpenAPI 3.1 document, made of the table of operations and the structs that they take and answer."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from proxy.admin.operation import Nothing, Operation, Way
from proxy.admin.problem import KIND, Problem

_REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final = (400, 401, 403, 408, 413, 415)
_SAYS: Final[Mapping[int, str]] = {
    400: "The request, its query or its body is not what is expected.",
    401: "A token is needed.",
    403: "The token is not good for this, or the request comes from elsewhere.",
    404: "There is no such service, pool or endpoint.",
    408: "The body did not arrive in time.",
    409: "Refused; nothing was changed.",
    412: "Somebody was faster: the ETag is another one.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not JSON.",
    422: "The configuration is not valid; nothing was changed.",
    503: "Not now.",
}
_SHOWN: Final[Mapping[Way, Mapping[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
}
_ETAG: Final = {"description": "Changes whenever the service does; for If-Match.", "schema": {"type": "string"}}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "Do it only if the service's ETag is this one, or one of a list.",
    "schema": {"type": "string"},
}


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The whole document."""
    types = [*(each.answer for each in operations), *(each.body for each in operations if each.body is not Nothing)]
    types += [each.failure for each in operations]
    json_types = [kind for kind in types if kind is not None]
    schemas, components = msgspec.json.schema_components([*json_types, Problem], ref_template=_REF)
    found = {repr(kind): schema for kind, schema in zip([*json_types, Problem], schemas, strict=True)}
    paths: dict[str, Any] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sluicegate admin API",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SHOWN},
    }  # fmt: skip


def _operation(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "summary": operation.summary,
        "operationId": _id(operation),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
        "security": [] if operation.needs == "nothing" else [{way: []} for way in operation.ways],
    }
    if operation.body is not Nothing:
        schema = schemas[repr(operation.body)]
        found["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return found


def _id(operation: Operation) -> str:
    words = operation.path.removeprefix("/v1").replace("{", "").replace("}", "").replace(".", "_")
    return f"{operation.method.lower()}{words.replace('/', '_')}"


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in operation.names]
    asked = [
        {"name": each.name, "in": "query", "description": each.says, "schema": dict(each.schema)}
        for each in operation.query
    ]
    return [*named, *asked, *([_IF_MATCH] if operation.is_about_service and operation.needs == "change" else [])]


def _responses(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "string"} if operation.answer is None else schemas[repr(operation.answer)]
    content = {operation.kind: {"schema": schema}}
    done: dict[str, Any] = {"description": "Done." if operation.needs == "change" else "As asked.", "content": content}
    if operation.is_about_service:
        done["headers"] = {"ETag": _ETAG}
    refused = {*_ALWAYS, *operation.refuses} if operation.needs != "nothing" else {400, 403, 408, 413, 415}
    problem = {KIND: {"schema": schemas[repr(Problem)]}}
    if operation.failure is not None:
        problem = {"application/json": {"schema": schemas[repr(operation.failure)]}}
    answers = {str(status): {"description": _SAYS[status], "content": problem} for status in sorted(refused)}
    if operation.needs == "nothing" and 503 in operation.refuses:
        answers["503"] = {"description": "Not now.", "content": content}
    return {"200": done, **answers}
