"""Links of the OpenAPI schema: which operation goes on from an answer, and with which parts of it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Link(NamedTuple):
    """``parameters`` and ``body``: runtime expressions of OpenAPI, such as ``$response.body#/id``."""

    operation: str
    parameters: dict[str, str]
    body: dict[str, Any] | None = None

    def described(self) -> dict[str, Any]:
        more = {} if self.body is None else {"requestBody": self.body}
        return {"operationId": self.operation, "parameters": self.parameters, **more}


ID, SAME_POST = {"post_id": "$response.body#/id"}, {"post_id": "$request.path.post_id"}
FIRST_SONG = "$response.body#/suggestions/0/song/id"
PLAYED = {"events": [{"song": FIRST_SONG, "kind": "play"}]}


def _first(parameters: dict[str, str]) -> dict[str, str]:
    """Take the first row of a list where the parameters name the row itself."""
    return {name: text.replace("#/id", "#/results/0/id") for name, text in parameters.items()}


NEW_POST = [
    Link("readPost", ID),
    Link("retryPost", ID),
    Link("requestRecommendations", ID),
    Link("readPhoto", {**ID, "position": "0"}),
    Link("deletePost", ID),
]
LIST = [
    Link("readRecommendations", {**SAME_POST, "request_id": "$response.body#/id"}),
    Link("chooseSong", SAME_POST, {"song": FIRST_SONG, "request": "$response.body#/id"}),
    Link("giveFeedback", SAME_POST, PLAYED),
    Link("showHiddenSong", {**SAME_POST, "song_id": FIRST_SONG}),
]
LINKS: dict[tuple[str, str], list[Link]] = {
    ("createPost", "202"): NEW_POST,
    ("listPosts", "200"): [Link(link.operation, _first(link.parameters)) for link in NEW_POST],
    ("readPost", "200"): [
        Link("readRecommendations", {**ID, "request_id": "$response.body#/request"}),
        Link("chooseSong", ID, {"song": FIRST_SONG}),
        Link("giveFeedback", ID, PLAYED),
        Link("clearChoice", ID),
    ],
    ("requestRecommendations", "200"): LIST,
    ("requestRecommendations", "202"): LIST[:1],
    ("listSongs", "200"): [
        Link(operation, {"song_id": "$response.body#/results/0/id"})
        for operation in ("readSong", "playPreview", "listSimilarSongs", "listFittingPosts")
    ],
}


def links_of(operation: str, status: str) -> dict[str, Any]:
    """Return the links of an answer by their names."""
    return {link.operation: link.described() for link in LINKS.get((operation, status), [])}
