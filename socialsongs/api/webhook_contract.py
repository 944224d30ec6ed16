"""What the OpenAPI schema says of webhooks: requests that the site sends, in the form of Standard Webhooks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiWebhook

ID = {"type": ["string", "null"], "format": "uuid"}
PATH = {"type": ["string", "null"], "format": "uri-reference", "description": "Path on the site, or null."}


def _closed(about: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "description": about, "properties": properties, "required": sorted(properties)}


def _payload(about: str, kind: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    return _closed(
        about,
        type=kind,
        timestamp={"type": "string", "format": "date-time", "description": "When it happened."},
        version={
            "type": "integer",
            "const": 1,
            "description": "Changes when a field changes its meaning or goes.",
        },
        data=data,
    )


KINDS = ["suggestions_ready", "song_chosen", "song_unchosen", "post_failed"]
WEBHOOK_SCHEMAS: dict[str, Any] = {
    # A component of its own: drf-spectacular would replace an enum by a reference here, in this very dict.
    "EventKind": {"type": "string", "enum": KINDS},
    "PostEventWebhook": _payload(
        "What happened to a post.",
        {"$ref": "#/components/schemas/EventKind"},
        _closed(
            "Ids and links; fields that do not apply are null. Fields may be added.",
            post=ID,
            request=ID | {"description": "The request that was answered."},
            song=ID | {"description": "The song that was chosen, or is no longer chosen."},
            reason={"type": ["string", "null"], "description": "Code of the reason why the post failed."},
            owner={"type": ["string", "null"], "description": "The API client's id of the post's owner."},
            photo={"anyOf": [{"$ref": "#/components/schemas/WebhookPhoto"}, {"type": "null"}]},
            links=_closed("Where to read more.", post=PATH, request=PATH, song=PATH),
        ),
    ),
    "WebhookPhoto": _closed(
        "The photo of the site's own model to which the post is attached.",
        model={"type": "string", "description": "As in photos.photo."},
        key={"type": "string", "description": "Its primary key, as text."},
    ),
    "PingWebhook": _payload(
        "A test of the endpoint.",
        {"type": "string", "const": "ping"},
        _closed("What is to be returned.", challenge={"type": "string"}),
    ),
}
ABOUT = {
    "suggestions_ready": "A request was answered: a post's default one, a further one, or one that is answered again.",
    "song_chosen": "A song became the song of a post, perhaps instead of another one.",
    "song_unchosen": "A post has no song any more.",
    "post_failed": "A post failed for good; it can be retried.",
    "ping": "An endpoint is sent nothing else until it has returned the challenge of a ping.",
}


def _header(name: str, about: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": True, "schema": {"type": "string"}, "description": about}


HEADERS = [
    _header("webhook-id", "Id of the event; the same in each attempt, and when it is sent again."),
    _header("webhook-timestamp", "When this attempt was made, in seconds since 1970."),
    _header("webhook-signature", "`v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; several, by spaces."),
]


def _webhook(kind: str) -> OpenApiWebhook:
    ping = kind == "ping"
    schema = {"$ref": f"#/components/schemas/{'PingWebhook' if ping else 'PostEventWebhook'}"}
    challenge = _closed("The challenge of the ping.", challenge={"type": "string"})
    operation: dict[str, Any] = {
        "operationId": f"receive_{kind}",
        "summary": ABOUT[kind],
        "parameters": HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "Received."}
            | ({"content": {"application/json": {"schema": challenge}}} if ping else {}),
            "410": {"description": "Send nothing more: the endpoint is disabled."},
            "default": {"description": "Send it again later, for a day. Redirects are not followed."},
        },
    }
    return OpenApiWebhook(name=kind, decorator={"post": operation})


suggestions_ready, song_chosen, song_unchosen, post_failed = map(_webhook, KINDS)
ping = _webhook("ping")
