"""Who gets which answer from every address: the table that tests/test_permissions.py checks cell by cell.

``python -m tests.permissions FILE`` writes it into FILE, between its two marks.

A cell is a status; ``login``: sent to the login; ``open``: the answer does not depend on who asks; ``done`` and ``not
done``: of an action in the admin. ``404/200``: for a private post and for a public one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .marked import replace_marked

BEGIN, END = "<!-- permissions: begin (written by `make permissions`) -->", "<!-- permissions: end -->"

# The columns. Rights of accounts are codenames; a star stands for any ending.
PEOPLE = {
    "visitor": "nobody is logged in",
    "owner": "the account whose post it is",
    "other": "another account without rights",
    "reader": "an account with `view_post`",
    "staff": "the staff flag without rights",
    "viewer": "the staff flag and every right to view",
    "changer": "the staff flag and every right to view and to change",
    "superuser": "",
}
# Columns of the API alone: keys with all scopes. To every other address, who sends a key is a visitor.
KEYS = {
    "key": "an API key that acts for the owner",
    "tenant": "an API key of another platform, which acts for one of its people",
    "nobody": "an API key that names nobody",
}
STAFF = {"staff": [], "viewer": ["view_*"], "changer": ["view_*", "change_*"]}
RIGHTS = {"reader": ["view_post"], **STAFF}


def columns(part: str) -> dict[str, str]:
    return PEOPLE | KEYS if part == "API" else PEOPLE


class Row(NamedTuple):
    """``route`` as the URLconf has it; ``cells`` in the order of the part's columns; ``body``: what is sent, with ids
    filled in."""

    part: str
    method: str
    route: str
    cells: str
    body: dict[str, Any] = {}
    action: str = ""
    draft: bool = False

    @property
    def expected(self) -> dict[str, str]:
        return dict(zip(columns(self.part), self.cells.replace("not done", "not-done").split(), strict=True))

    @property
    def title(self) -> str:
        more = f", action `{self.action}`" if self.action else ", of a draft" if self.draft else ""
        route = (
            re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.route)
            .replace("(?P{url}.*)", "…")
            .replace("(?!schema(/ui)?$)", "…")
        )
        return f"{self.method} `/{route}`{more}"


# Parts that many rows share.
LOGGED_IN = "401 200 200 200 200 200 200 200"
IN_PERSON = f"{LOGGED_IN} 200 200 400"
CATALOGUE = f"{LOGGED_IN} 200 200 200"
SEES = "401 200 404/200 200 404/200 200 200 200"
MANAGES = "401 200 404 200 404 200 200 200"
NO_ACCOUNT = "401 403 403 403 403 403 403 403"
MAY_WRITE = "401 403 403 403 403 403 403 200 200 200 200"
OPEN = "open open open open open open open open"


def owns(done: int) -> str:
    return f"401 {done} 404 404 404 404 404 404 {done} 404 400"


def everybody(done: int, nobody: int = 400) -> str:
    return f"401 {done} {done} {done} {done} {done} {done} {done} {done} {done} {nobody}"


POST = "api/v1/posts/<uuid:post_id>"
SONG = "api/v1/songs/<uuid:song_id>"
TEXTS = "api/v1/recommendations"
TEXT = f"{TEXTS}/<uuid:request_id>"
HOOK = "api/v1/webhooks/<uuid:endpoint_id>"
API = [
    Row("API", "POST", "api/v1/posts", everybody(202), {"photos": "<photo>"}),
    Row("API", "GET", "api/v1/posts", IN_PERSON),
    Row("API", "GET", POST, f"{SEES} 200 404 400"),
    Row("API", "DELETE", POST, owns(204)),
    Row("API", "POST", f"{POST}/retry", owns(409)),
    Row("API", "GET", f"{POST}/photos/<int:position>", f"{SEES} 200 404 400"),
    Row("API", "POST", f"{POST}/recommendations", owns(202)),
    Row("API", "GET", f"{POST}/recommendations/<uuid:request_id>", f"{MANAGES} 200 404 400"),
    Row("API", "POST", f"{POST}/choice", owns(200), {"song": "<song>"}),
    Row("API", "DELETE", f"{POST}/choice", owns(204)),
    Row("API", "POST", f"{POST}/feedback", owns(200), {"events": [{"song": "<song>", "kind": "play"}]}),
    Row("API", "DELETE", f"{POST}/hidden/<uuid:song_id>", owns(204)),
    Row("API", "POST", TEXTS, everybody(202), {"text": "rain"}),
    Row("API", "GET", TEXT, owns(200)),
    Row("API", "DELETE", TEXT, owns(204)),
    Row("API", "POST", f"{TEXT}/feedback", owns(200), {"events": [{"song": "<song>", "kind": "play"}]}),
    Row("API", "DELETE", f"{TEXT}/hidden/<uuid:song_id>", owns(204)),
    Row("API", "GET", "api/v1/songs", CATALOGUE),
    Row("API", "POST", "api/v1/songs/bulk", MAY_WRITE, {"source": "s", "songs": [{"id": "1"}]}),
    Row("API", "POST", "api/v1/songs/status", MAY_WRITE, {"source": "s", "ids": ["1"], "status": "retired"}),
    Row("API", "GET", SONG, CATALOGUE),
    Row("API", "GET", SONG, everybody(404, nobody=404), draft=True),
    Row("API", "GET", f"{SONG}/preview", CATALOGUE),
    Row("API", "GET", f"{SONG}/preview", "401 404 404 404 404 200 200 200 404 404 404", draft=True),
    Row("API", "GET", f"{SONG}/similar", CATALOGUE),
    Row("API", "GET", f"{SONG}/posts", IN_PERSON),
    Row("API", "GET", "api/v1/taste", IN_PERSON),
    Row("API", "PATCH", "api/v1/taste", IN_PERSON, {"enabled": False}),
    Row("API", "DELETE", "api/v1/taste", everybody(204)),
    Row("API", "GET", "api/v1/key", f"{NO_ACCOUNT} 200 200 200"),
    Row("API", "DELETE", "api/v1/user", f"{NO_ACCOUNT} 204 204 400"),
    Row("API", "GET", "api/v1/webhooks", f"{NO_ACCOUNT} 200 200 200"),
    Row("API", "POST", "api/v1/webhooks", f"{NO_ACCOUNT} 201 201 201", {"url": "https://example.org/"}),
    Row("API", "GET", HOOK, f"{NO_ACCOUNT} 200 404 200"),
    Row("API", "PATCH", HOOK, f"{NO_ACCOUNT} 200 404 200", {"kinds": ["post_failed"]}),
    Row("API", "DELETE", HOOK, f"{NO_ACCOUNT} 204 404 204"),
    Row("API", "POST", f"{HOOK}/rotate", f"{NO_ACCOUNT} 200 404 200", {"keep_hours": 1}),
    Row("API", "POST", f"{HOOK}/test", f"{NO_ACCOUNT} 202 404 202"),
    Row("API", "POST", f"{HOOK}/replay", f"{NO_ACCOUNT} 202 404 202", {"since": "2026-01-01T00:00:00Z"}),
    Row("API", "GET", f"{HOOK}/deliveries", f"{NO_ACCOUNT} 200 404 200"),
    Row("API", "GET", "api/schema/", f"{OPEN} open open open"),
    Row("API", "GET", "api/schema/ui/", f"{OPEN} open open open"),
    Row("API", "GET", "api/(?!schema(/ui)?$)", f"{OPEN} open open open"),
]

PAGE = "posts/<uuid:post_id>"


def page_owns(done: str) -> str:
    return f"login {done} 404 404 404 404 404 404"


PAGES = [
    Row("Pages", "GET", "", "login 200 200 200 200 200 200 200"),
    Row("Pages", "POST", "", "login 302 302 302 302 302 302 302", {"photos": "<photo>"}),
    Row("Pages", "GET", PAGE, SEES.replace("401", "login")),
    Row("Pages", "GET", f"{PAGE}/progress", SEES.replace("401", "login")),
    Row("Pages", "POST", f"{PAGE}/steer", page_owns("302"), {"text": "rain"}),
    Row("Pages", "POST", f"{PAGE}/retry", page_owns("302")),
    Row("Pages", "POST", f"{PAGE}/delete", page_owns("302")),
    Row("Pages", "POST", f"{PAGE}/songs/<uuid:song_id>/choose", page_owns("302")),
    Row("Pages", "POST", f"{PAGE}/songs/<uuid:song_id>/show", page_owns("302")),
    Row("Pages", "POST", f"{PAGE}/songs/show", page_owns("302")),
    Row("Pages", "POST", f"{PAGE}/songs/<uuid:song_id>/<str:kind>", page_owns("204")),
    Row("Pages", "POST", f"{PAGE}/unchoose", page_owns("302")),
]

OUTSIDE = "login login login login"
SITE = [
    Row("Site", "GET", "samples/<slug:name>", "login 200 200 200 200 200 200 200"),
    Row("Site", "GET", "accounts/login/", "200 302 302 302 302 302 302 302"),
    Row("Site", "GET", "accounts/password/", "login 200 200 200 200 200 200 200"),
    Row("Site", "GET", "accounts/password/done/", "login 200 200 200 200 200 200 200"),
    Row("Site", "POST", "accounts/logout/", f"{OUTSIDE} {OUTSIDE}"),
    Row("Site", "GET", "health/", OPEN),
    Row("Site", "GET", "health/ready/", OPEN),
    Row("Site", "GET", "metrics/", "401 403 403 403 403 200 200 200"),
]

# Accounts without the staff flag are sent to the admin's login.
STAFF_ALL = f"{OUTSIDE} 200 200 200 200"
VIEWS = f"{OUTSIDE} 403 200 200 200"
NOBODY = f"{OUTSIDE} 403 403 403 403"
ROOT = f"{OUTSIDE} 403 403 403 200"


def saves(done: int) -> str:
    return f"{OUTSIDE} 403 403 {done} {done}"


ACTS = f"{OUTSIDE} 403 not-done done done"
ROOT_ACTS = f"{OUTSIDE} 403 not-done not-done done"
NEVER = f"{OUTSIDE} 403 not-done not-done not-done"


def model(
    name: str, *, add: str = ROOT, save: str = saves(200), delete: str = ROOT, deleted: str = ROOT_ACTS,
    actions: Mapping[str, str] = MappingProxyType({}), change: str = VIEWS, history: str = VIEWS,
) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of a model of the admin; ``save``: what POST of the form to change a row is answered."""
    base = f"admin/{name}/"
    row = f"{base}<path:object_id>/"
    yield Row("Admin", "GET", base, VIEWS)
    for action, cells in {**actions, "delete_selected": deleted}.items():
        body = {"action": action, "_selected_action": "<row>", "post": "yes"}
        yield Row("Admin", "POST", base, cells, body, action=action)
    yield Row("Admin", "GET", f"{base}add/", add)
    yield Row("Admin", "GET", f"{row}change/", change)
    yield Row("Admin", "POST", f"{row}change/", save)
    yield Row("Admin", "GET", f"{row}history/", history)
    yield Row("Admin", "GET", f"{row}delete/", delete)
    yield Row("Admin", "GET", row, STAFF_ALL.replace("200", "302"))


OWN_TOKENS = f"{OUTSIDE} 403 302 302 200"  # only superusers see tokens of others
READ_ONLY = {"add": NOBODY, "save": NOBODY}
FOR_EVER = {**READ_ONLY, "delete": NOBODY, "deleted": NEVER}
ENDPOINT_ACTIONS = ["ping", "replay_what_failed", "rotate", "disable", "enable"]
SONG_ACTIONS = ["publish", "retire", "to_draft", "encode_again", "offer", "no_longer_offer"]

ADMIN = [
    Row("Admin", "GET", "admin/", STAFF_ALL),
    Row("Admin", "GET", "admin/login/", f"200 200 200 200 {STAFF_ALL.removeprefix(OUTSIDE).replace('200', '302')}"),
    Row("Admin", "POST", "admin/logout/", f"302 302 302 302 {OUTSIDE}"),
    Row("Admin", "GET", "admin/password_change/", OPEN),
    Row("Admin", "GET", "admin/password_change/done/", STAFF_ALL),
    Row("Admin", "GET", "admin/autocomplete/", VIEWS),
    Row("Admin", "GET", "admin/jsi18n/", STAFF_ALL),
    Row("Admin", "GET", "admin/r/<path:content_type_id>/<path:object_id>/", STAFF_ALL.replace("200", "404")),
    Row("Admin", "GET", "admin/<app_label>/", VIEWS.replace("403", "404")),
    Row("Admin", "GET", "admin/(?P<url>.*)", STAFF_ALL.replace("200", "404")),
    *model("auth/group"),
    *model("auth/user"),
    Row("Admin", "GET", "admin/auth/user/<id>/password/", saves(200)),
    *model("axes/accessattempt", add=NOBODY, save=saves(302)),
    *model("axes/accesslog", add=NOBODY, save=saves(302)),
    *model("axes/accessfailurelog", add=NOBODY, save=saves(302)),
    *model("socialsongs_site/token", save=NOBODY, change=OWN_TOKENS, history=OWN_TOKENS.replace("403", "302")),
    *model("socialsongs/song", actions=dict.fromkeys(SONG_ACTIONS, ACTS)),
    *model("socialsongs/rule"),
    *model("socialsongs/post", **READ_ONLY, actions={"retry": ACTS}),
    *model("socialsongs/recommendationrequest", **READ_ONLY, actions={"retry": ACTS}),
    *model("socialsongs/feedback", **READ_ONLY),
    *model("socialsongs/taste", save=saves(302), actions={"reset": ACTS}),
    *model("socialsongs/postaccess", **FOR_EVER),
    *model("socialsongs/apiclient"),
    *model("socialsongs/apikey", save=saves(302), actions={"revoke": ACTS}),
    *model("socialsongs/externaluser", **READ_ONLY),
    *model("socialsongs/event", **READ_ONLY, actions={"send_again": ACTS}),
    *model("socialsongs/webhookendpoint", save=saves(302), actions=dict.fromkeys(ENDPOINT_ACTIONS, ACTS)),
    *model("socialsongs/webhookdelivery", **READ_ONLY, actions={"send_again": ACTS}),
    *model("socialsongs/modelrelease", **FOR_EVER),
    *model("socialsongs/worker", **FOR_EVER),
]

TABLE = [*API, *PAGES, *SITE, *ADMIN]
PARTS = list(dict.fromkeys(row.part for row in TABLE))


def lines() -> list[str]:
    explained = [f"| **{name}** | {about or 'a superuser'} |" for name, about in (PEOPLE | KEYS).items()]
    found = ["| column | |", "|---|---|", *explained]
    for part in PARTS:
        found += ["", f"| {part} | {' | '.join(columns(part))} |", f"|---|{'---|' * len(columns(part))}"]
        for row in TABLE:
            if row.part == part:
                cells = " | ".join(cell.replace("-", " ").replace("/", " / ") for cell in row.expected.values())
                found.append(f"| {row.title} | {cells} |")
    return found


def written(text: str) -> str:
    """``text`` with the table as it is now."""
    return replace_marked(text, BEGIN, END, lines())


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text()))
