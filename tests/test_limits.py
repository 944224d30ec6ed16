"""The limits in docs/api.md are those of the code."""

from socialsongs.api import idempotency, serializers
from socialsongs.api.bulk_songs import BulkSongs
from socialsongs.api.pagination import Newest
from socialsongs.bodies import TEXT_BYTES
from socialsongs.conf import MIB, PluginSettings
from socialsongs.services import external_users, webhooks
from socialsongs.services.bulk_songs import MOST_SONGS

from .processes import ROOT

SETTINGS = PluginSettings()


def field(of, *names):
    found = of()
    for name in names:
        found = found.fields[name]
    return found


IN_CODE = {
    "caption": field(serializers.NewPostSerializer, "caption").max_length,
    "songs to exclude": field(serializers.RecommendationParametersSerializer, "exclude").max_length,
    "text of a request": field(serializers.RecommendationParametersSerializer, "text").max_length,
    "text to search for": field(serializers.SongSearchSerializer, "q").max_length,
    "events of one call": field(serializers.FeedbackSerializer, "events").max_length,
    "songs or ids of a bulk call": MOST_SONGS,
    "body of a bulk call": BulkSongs().most_bytes // MIB,
    "body without photos": TEXT_BYTES // MIB,
    "results of a page": Newest.max_page_size,
    "`Idempotency-Key`": idempotency.MOST_CHARACTERS,
    "id of a person": external_users.LONGEST_ID,
    "webhook endpoints of a client": webhooks.MOST_ENDPOINTS,
}


def number(text):
    """Return what a cell says, in the unit of the code: "15 MiB" in bytes where a setting is named, "60/hour" as it
    is."""
    return text if "/" in text else int(text.split(" ")[0].replace(",", ""))


def test_the_limits_are_those_of_the_code():
    text = (ROOT / "docs" / "api.md").read_text()
    table = text[text.index("<!-- limits: begin") : text.index("<!-- limits: end")]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if line.startswith("| ")
    ]
    said = {what: (number(most), setting.strip("`")) for what, most, setting in rows[1:]}
    named = {what: (most, setting) for what, (most, setting) in said.items() if setting}
    assert {what: most for what, (most, setting) in said.items() if not setting} == IN_CODE
    wrong = {
        what: (most, value)
        for what, (most, setting) in named.items()
        if (value := getattr(SETTINGS, setting)) != most and value != (most * MIB if "file" in what else most)
    }
    assert not wrong
    rates = {name for name in PluginSettings.__dataclass_fields__ if name.endswith("_RATE")}
    assert rates <= {setting for _, setting in named.values()}
