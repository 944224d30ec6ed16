"""A text that steers a list: which of its words are understood, what they do, and what is said of the others."""

import numpy as np
import pytest

from recommender.wishes import Sign
from socialsongs.models import RecommendationRequest, Song, Suggestion
from socialsongs.services.catalogue import sync_embeddings
from socialsongs.services.posts import create_post
from socialsongs.services.recommendation_requests import request_for_text, request_recommendations
from socialsongs.services.releases import register
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.requests import answer_requests
from workers.lanes.songs import encode_songs
from workers.suggesting.query import SongQuery
from workers.suggesting.steering import read_wishes
from workers.suggesting.text_wishes import WordWish
from workers.suggesting.wish_scores import WishScores

from .releases import WORDS, card

LINES = [f"{first} and {second}" for first, second in zip(WORDS, reversed(WORDS), strict=True)]
SONGS = {  # title: fields
    "Smoke": {"genre": "vocal jazz", "moods": ["melancholy"], "artist": "The Ferry Hands", "year": 1994},
    "Brass": {"genre": "Jazz", "moods": ["Joyful"], "artist": "The Ferry Hands", "year": 2003},
    "Anvil": {"genre": "metal", "moods": ["angry"], "artist": "Rain", "explicit": True},
    "Marina": {"genre": "R&B", "language": "es", "artist": "Gus & Nell"},
    "Lisboa": {"genre": "hip hop", "language": "pt-BR", "artist": "No Doubtful Names"},
    "Nave": {"genre": "children's", "moods": ["bittersweet"], "artist": "Kestrel"},
    "Gate": {"genre": "house", "moods": ["romantic"], "artist": "Hollow Tooth"},
}


@pytest.fixture
def loaded(db, model, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "EXPLORATION": 0.0}
    found = LoadedRelease(register(name="small", sha256=model.sha256, card=card()), model)
    for number, (title, values) in enumerate(SONGS.items()):
        lyrics = "\n".join(LINES[number * 4 : number * 4 + 4])
        Song.objects.create(title=title, lyrics=lyrics, status="published", **values)
    sync_embeddings()
    while encode_songs(found, limit=50):
        pass
    return found


@pytest.fixture
def understood(loaded):
    """Return a function: a text to its fields, its words for lyrics, and its unused words. Refused ones begin with
    "-", neutral ones with "~", and what is wanted alone with "!"."""
    signs = {"wanted": "", "refused": "-", "neutral": "~"}

    def read(text, **parameters):
        wishes = read_wishes(loaded, SongQuery([], parameters), text)
        fields = [f"{signs[one.sign]}{'!' * one.only}{one.kind}: {one.words}" for one in wishes.fields]
        return fields, [f"{signs[one.sign]}{one.phrase}" for one in wishes.words], [*wishes.unused]

    return read


@pytest.mark.parametrize(
    ("text", "fields", "words", "unused"),
    [
        ("JAZZ, no hip-hop", ["genre: JAZZ", "-genre: hip-hop"], [], []),
        ("some rap please", ["genre: rap"], [], []),
        ("R'n'B", ["genre: R'n'B"], [], []),
        ("only Kinderlieder", ["!genre: Kinderlieder"], [], []),
        ("polka", [], [], ["polka"]),
        ("rock", [], [], ["rock"]),  # a genre that the catalogue lacks
        ("house music", ["genre: house"], [], []),
        ("the house by the sea", [], ["sea"], ["house"]),  # the small release does not know this word
        ("in Spanish", ["!language: Spanish"], [], []),
        ("español", ["!language: español"], [], []),
        ("portugiesische Lieder", ["!language: portugiesische"], [], []),
        ("no Spanish songs", ["-language: Spanish"], [], []),
        ("日本語", [], [], ["日本語"]),
        ("sad", ["mood: sad"], [], []),
        ("nicht nur traurige Lieder", ["~mood: traurige"], [], []),
        ("etwas Fröhliches, kein Regen", ["mood: Fröhliches"], ["-rain"], []),
        ("bittersweet", ["mood: bittersweet"], [], []),  # a word of staff's
        ("red calm snow", [], ["red snow"], ["calm"]),
        ("The ferry hands", ["artist: The ferry hands"], [], []),
        ("gus and nell, no dog", ["artist: gus and nell"], ["-dog"], []),
        ("no doubtful names", ["artist: no doubtful names"], [], []),
        ("rain", [], ["rain"], []),
        ("no love", ["-mood: love"], ["-love"], []),  # romantic songs are lowered, too
        ("something by Rain", [], [], ["Rain"]),  # his songs are explicit, and the request allows none
        ("songs by The Beatles", [], [], ["The Beatles"]),
        ("from the nineties", ["year: nineties"], [], []),
        ("2003, no 90er", ["year: 2003", "-year: 90er"], [], []),
        ("1980s", [], [], ["1980s"]),
        ("clean", ["!explicit: clean"], [], []),
        ("explicit", [], [], ["explicit"]),
        ("ohne Schimpfwörter", ["-explicit: Schimpfwörter"], [], []),
        ("asdfgh and snow", [], ["snow"], ["asdfgh"]),
        ("rain, rain, RAIN", [], ["rain"], []),
        ("грустная песня", [], [], ["грустная", "песня"]),
        ("some nice music please", [], [], []),
        ("\ue0000\ue001 snow", [], ["snow"], ["0"]),
        ("no", [], [], []),
    ],
)
def test_words_are_understood_or_named(understood, text, fields, words, unused):
    assert understood(text) == (fields, words, unused)


def test_a_word_for_explicit_songs_does_what_the_request_allows(understood):
    assert understood("explicit", explicit=True) == (["explicit: explicit"], [], [])
    assert understood("something by Rain", explicit=True) == (["artist: Rain"], [], [])


@pytest.fixture
def post(loaded, alice, upload):
    made, _ = create_post(owner=alice, uploads=[upload()])
    type(made).objects.update(state="ready")
    return made


@pytest.fixture
def answer(post, loaded):
    """Return a function that sends a text for a post and has a worker answer it."""

    def make(text, **parameters):
        asked = request_recommendations(post=post, text=text, parameters={"limit": 6, **parameters})
        answer_requests(ServingReleases(loaded), limit=9)
        asked.refresh_from_db()
        return asked

    return make


def titles(asked):
    return [row.song.title for row in asked.suggestions.select_related("song")]


def test_fields_decide_which_songs_are_in_the_list_and_which_come_first(answer):
    plain = titles(answer(""))
    assert "Anvil" not in plain
    for text, raised in {"jazz": {"Smoke", "Brass"}, "rap oder house": {"Lisboa", "Gate"}, "sad": {"Smoke"}}.items():
        found = titles(answer(text))
        assert sum(map(found.index, raised)) < sum(map(plain.index, raised))
    assert {"Smoke", "Brass"}.isdisjoint(titles(answer("no jazz")))
    found = titles(answer("no love"))
    assert found.index("Gate") > plain.index("Gate")  # lowered, but not left out
    assert titles(answer("in Spanish")) == ["Marina"]
    assert titles(answer("nur Portugiesisch oder Spanisch, kein Rap")) == ["Marina"]
    assert {*titles(answer("the ferry hands"))[:2]} == {"Smoke", "Brass"}  # more songs than of other artists
    assert titles(answer("only jazz or house")) == titles(answer("nur House und Jazz")) != []
    assert "Smoke" in titles(answer("not only sad songs"))
    assert titles(answer("sad", exclude=[str(Song.objects.get(title="Smoke").pk)]))  # no song is left that is sad


def test_words_that_led_to_a_song_are_among_its_reasons(answer):
    first = answer("Jazz, snow, asdfgh").suggestions.order_by("rank").first()
    assert {"tag": "Jazz", "kind": "wish", "weight": 1.0} in first.reasons
    for row in Suggestion.objects.filter(request__text="Jazz, snow, asdfgh").select_related("song"):
        words = [reason["tag"] for reason in row.reasons if reason["kind"] == "wish"]
        assert ("Jazz" in words) == ("jazz" in row.song.genre.lower())
        assert "asdfgh" not in words


def test_words_that_are_not_sung_are_a_reason_only_if_the_song_is_clearly_about_them():
    wish = WordWish("Hunde", Sign.WANTED, "dogs")
    for closeness, lyrics, reasons in [
        (0.5, "my old dog", []),
        (1.5, "my old dog", ["Hunde"]),
        (1.5, "a puppy", []),
        (3.5, "a puppy", ["Hunde"]),
    ]:
        scores = WishScores(np.zeros(1), [[]], [(wish, np.array([closeness]))], np.zeros(1, bool))
        assert scores.reasons(0, Song(title="Rex", lyrics=lyrics)) == reasons


def test_an_answer_names_the_words_without_effect(answer, api_of, alice, client):
    asked = answer("jazz, asdfgh and qwertz")
    path = f"/api/v1/posts/{asked.post_id}/recommendations/{asked.pk}"
    body = api_of(alice).get(path).json()
    assert (body["unused"], body["notice"]) == (["asdfgh", "qwertz"], None)
    client.force_login(alice)
    page = client.get(f"/posts/{asked.post_id}?request={asked.pk}", headers={"Accept-Language": "de"})
    page = page.content.decode()
    assert 'Diese Wörter bewirken nichts: <q lang="">asdfgh</q>, <q lang="">qwertz</q>' in page
    assert '<span class="socialsongs-tag socialsongs-rule" lang="">jazz</span>' in page


def test_a_text_of_nonsense_gets_the_list_without_it_and_is_told(answer, post, api_of, alice, client):
    asked, plain = answer("asdfgh"), answer("")
    assert titles(asked) == titles(plain)
    body = api_of(alice).get(f"/api/v1/posts/{post.pk}/recommendations/{asked.pk}").json()
    assert (body["unused"], body["notice"]["code"], body["state"]) == (["asdfgh"], "text_unused", "ready")
    assert api_of(alice).get(f"/api/v1/posts/{post.pk}/recommendations/{plain.pk}").json()["unused"] == []
    client.force_login(alice)
    page = client.get(f"/posts/{post.pk}?request={asked.pk}").content.decode()
    assert "No word of your text has an effect here" in page
    assert "your words" not in page.split("</h1>")[0].split("<h1")[-1]


@pytest.mark.parametrize(
    ("text", "state"),
    [("asdfgh", "failed"), ("no", "failed"), ("no dog", "ready"), ("jazz", "ready"), ("sea", "ready")],
)
def test_a_text_alone_needs_a_word_with_an_effect(loaded, alice, text, state):
    asked = request_for_text(owner=alice, text=text, parameters={"limit": 3})
    answer_requests(ServingReleases(loaded), limit=9)
    asked = RecommendationRequest.objects.get(pk=asked.pk)
    assert (asked.state, asked.reason) == (state, "text_empty" if state == "failed" else "")
    assert asked.suggestions.count() == (0 if state == "failed" else 3)
