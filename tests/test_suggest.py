"""What goes into a list beside relevance: rules, taste, exploration, and songs for photos that nothing fits."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from recommender.results import PhotoView, Tag
from socialsongs.models import Feedback, RecommendationRequest, Rule, Song, SongEmbedding, Suggestion
from socialsongs.services.catalogue import save_song, sync_embeddings
from socialsongs.services.posts import create_post
from socialsongs.services.releases import register
from socialsongs.services.taste import offer_taste
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.drain import Loop
from workers.lanes.requests import answer_requests
from workers.lanes.songs import encode_songs
from workers.suggesting.query import SongQuery
from workers.suggesting.suggest import suggest_songs

pytestmark = pytest.mark.django_db
PLAIN = {"DIVERSITY": 0.0, "POPULARITY": 0.0, "EXPLORATION": 0.0, "TASTE": 0.0}
OTHER = {"user": None, "hidden": (), "seed": "", "has_text": False}  # of a SongQuery
WORDS = ("tide", "gulls", "masts", "home", "dance", "night", "snow", "road", "dog", "sea", "light", "rain")


def test_several_photos_are_one_query_their_mean_with_the_highest_certainty():
    unsure, sure = (
        PhotoView([Tag("dog", "object", score, (0, 0, 1, 1))], np.full(4, score, np.float32)) for score in (0.2, 0.8)
    )
    found = SongQuery([unsure, sure]).combined_view
    assert found.certainty == 0.8
    assert found.embedding == pytest.approx([0.5] * 4)
    assert (SongQuery([unsure]).combined_view.embedding == unsure.embedding).all()


@pytest.fixture
def plain(settings):
    def make(**more):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, **PLAIN, **more}

    make()
    return make


@pytest.fixture
def known(model):
    return register(name=model.name, sha256=model.sha256, card={})


def add(number, **values):
    words = np.random.default_rng(number).permutation(WORDS)
    lyrics = "\n".join(" ".join(part) for part in words.reshape(4, 3))
    given = {"title": f"Song {number}", "artist": f"Artist {number}", "lyrics": lyrics, "status": "published"}
    song = Song(**{**given, **values})
    save_song(song=song)
    return song


@pytest.fixture
def songs(plain, known, model):
    made = [add(number, genre="folk" if number % 3 == 0 else "pop") for number in range(12)]
    read(model, known)
    return made


def read(model, release):
    while encode_songs(LoadedRelease(release, model), limit=64):
        pass


@pytest.fixture
def view(model):
    return PhotoView([Tag("Harbor", "scene", 0.9, (0, 0, 1, 1))], model.network.reference[0].cpu().numpy())


@pytest.fixture
def sure(monkeypatch, model):
    """Set the threshold so that any song fits; with random weights it means nothing."""
    monkeypatch.setitem(model.card["confidence"], "threshold", 0.0)


@pytest.fixture
def unsure(monkeypatch, model):
    monkeypatch.setitem(model.card["confidence"], "threshold", 1.1)


@pytest.fixture
def ask(model, known, view):
    def make(**parameters):
        other = {name: parameters.pop(name, default) for name, default in OTHER.items()}
        return suggest_songs(LoadedRelease(known, model), SongQuery([view], parameters, **other))

    return make


def titles(found):
    return [one.song.title for one in found.suggestions]


# Filters, and notices when few songs pass them


def test_explicit_songs_come_when_they_are_asked_for(songs, sure, ask, model, known):
    add(40, explicit=True)
    read(model, known)
    assert "Song 40" not in titles(ask(limit=50))
    assert "Song 40" in titles(ask(limit=50, explicit=True))


def test_fewer_songs_than_asked_for_is_said(songs, sure, ask):
    assert ask(limit=12).notice == ""
    found = ask(limit=20)
    assert (len(found.suggestions), found.notice) == (12, "fewer_songs")


@pytest.mark.parametrize("parameters", [{"market": "ZZ"}, {"language": "cy"}, {"genre": "polka"}])
def test_no_song_at_all_is_said(songs, sure, ask, parameters):
    Song.objects.update(markets=["AT"])
    for song in Song.objects.all():
        save_song(song=song)
    assert ask(**parameters) == ([], False, "no_songs", ())


def test_songs_that_are_not_encoded_yet_are_said(songs, sure, ask, model, known):
    add(60, genre="polka")
    assert ask(genre="polka") == ([], False, "not_encoded", ())
    assert ask(limit=20).notice == "not_encoded"
    assert ask(limit=12).notice == ""
    read(model, known)
    assert ask(genre="polka").notice == "fewer_songs"


def test_a_catalogue_without_words_has_no_songs(plain, known, model, ask):
    add(1, lyrics="")
    read(model, known)
    assert ask() == ([], False, "no_songs", ())


def test_an_artist_comes_once_while_there_are_others(songs, sure, ask, model, known):
    for number in (50, 51, 52):
        add(number, artist="The Same")
    read(model, known)
    artists = [one.song.artist for one in ask(limit=13).suggestions]
    assert artists.count("The Same") == 1
    assert len(ask(limit=15).suggestions) == 15


# Rules


def test_a_pinned_song_comes_first_and_says_why(songs, sure, ask):
    last = ask(limit=12).suggestions[-1].song
    Rule.objects.create(name="Song of the week", action="pin", song=last)
    first, *others = ask(limit=5).suggestions
    assert (first.song, first.origin, first.rank) == (last, Suggestion.Origin.PIN, 1)
    assert first.reasons[0] == {"tag": "Song of the week", "kind": "pin", "weight": 1.0}
    assert first.line
    assert last not in [one.song for one in others]
    assert len(others) == 4


def test_a_pinned_song_needs_no_words_but_must_be_allowed(songs, sure, ask, model, known):
    silent = add(60, lyrics="", markets=["AT"])
    read(model, known)
    Rule.objects.create(name="Instrumental", action="pin", song=silent)
    first = ask(market="AT").suggestions[0]
    assert (first.song, first.line, first.confidence) == (silent, "", None)
    assert silent not in [one.song for one in ask(market="US").suggestions]
    silent.status = "retired"
    save_song(song=silent)
    assert silent not in [one.song for one in ask(market="AT").suggestions]


def test_boost_and_bury_move_songs_and_say_so(songs, sure, ask):
    before = ask(limit=12)
    last, first = before.suggestions[-1].song, before.suggestions[0].song
    Rule.objects.create(name="More of this", action="boost", song=last, strength=10)
    Rule.objects.create(name="Less of this", action="bury", song=first, strength=10)
    after = ask(limit=12).suggestions
    assert (after[0].song, after[-1].song) == (last, first)
    assert after[0].reasons[0] == {"tag": "More of this", "kind": "boost", "weight": 10.0}
    assert after[-1].reasons[0]["kind"] == "bury"
    assert not any(reason["kind"] in ("boost", "bury") for one in after[1:-1] for reason in one.reasons)


def test_a_genre_can_be_boosted(songs, sure, ask):
    Rule.objects.create(name="Folk month", action="boost", genre="folk", strength=10)
    assert [one.song.genre for one in ask(limit=4).suggestions] == ["folk"] * 4


@pytest.mark.parametrize("about", ["song", "genre"])
def test_what_is_blocked_is_never_shown_and_others_take_its_place(songs, sure, ask, about):
    first = ask(limit=1).suggestions[0].song
    Rule.objects.create(name="Never", action="block", **{about: getattr(first, about, first)})
    found = ask(limit=4)
    assert len(found.suggestions) == 4
    assert first not in [one.song for one in found.suggestions]


def test_a_rule_that_blocks_everything_is_said(songs, sure, ask):
    rule = Rule.objects.create(name="Silence", action="block")
    assert ask() == ([], False, "blocked", ())
    rule.genre = "folk"
    rule.save()
    assert ask(genre="folk") == ([], False, "blocked", ())
    assert len(ask(limit=8).suggestions) == 8


def test_a_block_is_stronger_than_a_pin(songs, sure, ask):
    Rule.objects.create(name="First", action="pin", song=songs[0])
    Rule.objects.create(name="Never", action="block", song=songs[0])
    assert songs[0] not in [one.song for one in ask(limit=12).suggestions]


@pytest.mark.parametrize(
    ("circumstances", "parameters", "counts"),
    [
        ({"tag": "harbor"}, {}, True),
        ({"tag": "dog"}, {}, False),
        ({"market": "AT"}, {"market": "AT"}, True),
        ({"market": "AT"}, {"market": "US"}, False),
        ({"market": "AT"}, {}, False),
        ({"starts_at": -1, "ends_at": 1}, {}, True),
        ({"starts_at": 1}, {}, False),
        ({"ends_at": -1}, {}, False),
        ({"enabled": False}, {}, False),
    ],
)
def test_a_rule_counts_in_its_circumstances(songs, sure, ask, circumstances, parameters, counts):
    last = ask(limit=12).suggestions[-1].song
    times = {
        key: timezone.now() + timedelta(hours=value) if key.endswith("_at") else value
        for key, value in circumstances.items()
    }
    Rule.objects.create(name="Now", action="pin", song=last, **times)
    assert (ask(limit=3, **parameters).suggestions[0].song == last) == counts


# When nothing fits


def test_without_a_clear_match_editorial_and_popular_songs_are_offered(songs, unsure, ask):
    Song.objects.filter(title__in=["Song 1", "Song 2"]).update(editorial=True)
    Song.objects.filter(title="Song 3").update(popularity=0.9)
    found = ask(limit=5)
    assert not found.confident
    assert [one.origin for one in found.suggestions] == ["editorial", "editorial", "popular", "nearest", "nearest"]
    assert set(titles(found)[:2]) == {"Song 1", "Song 2"}
    assert titles(found)[2] == "Song 3"
    assert len(set(titles(found))) == 5
    for one in found.suggestions[:3]:
        assert (one.line, one.reasons) == ("", [])  # no reasons are invented
    assert all(one.line for one in found.suggestions[3:])


def test_a_request_says_whether_words_steer(view, ready_post):
    for about in ({}, {"post": ready_post}):
        assert SongQuery.of(RecommendationRequest(text="calm", **about), [view]).has_text
        assert not SongQuery.of(RecommendationRequest(**about), [view]).has_text


def test_words_are_answered_by_what_is_nearest_before_what_is_popular(songs, unsure, ask):
    Song.objects.filter(title="Song 1").update(editorial=True)
    found = ask(limit=5, has_text=True)
    assert not found.confident
    assert {one.origin for one in found.suggestions} == {"nearest"}
    assert {one.origin for one in ask(limit=12, genre="folk", has_text=True).suggestions} == {"nearest"}
    SongEmbedding.objects.filter(song__title="Song 1").update(stage_one=None)
    assert [one.origin for one in ask(limit=20, has_text=True).suggestions][-1] == "editorial"


def test_what_is_offered_is_allowed_and_not_blocked(songs, unsure, ask):
    Song.objects.filter(genre="folk").update(editorial=True)
    Rule.objects.create(name="Never", action="block", song=songs[0])
    found = ask(limit=12, exclude=[str(songs[3].pk)])
    offered = [one.song for one in found.suggestions if one.origin == "editorial"]
    assert {song.pk for song in offered} == {songs[6].pk, songs[9].pk}
    assert ask(genre="pop", limit=3).suggestions[0].origin == "nearest"


def test_not_everybody_is_offered_the_same_order(songs, unsure, ask):
    Song.objects.update(editorial=True)
    assert titles(ask(seed="one")) == titles(ask(seed="one"))
    assert len({tuple(titles(ask(seed=str(seed)))) for seed in range(5)}) > 1


# Confident or not: by all songs that the request allows, whatever is pinned or moved


@pytest.fixture
def ranked(songs, sure, ask, monkeypatch, model):
    """Return all songs, best first; only the first one fits."""
    found = ask(limit=12).suggestions
    monkeypatch.setitem(model.card["confidence"], "threshold", found[0].confidence)
    assert found[1].confidence < found[0].confidence
    return [one.song for one in found]


def pin(*songs):
    for song in songs:
        Rule.objects.create(name="First", action="pin", song=song)


def origins(found):
    return [one.origin for one in found.suggestions]


@pytest.mark.parametrize("pins", [3, 5])
def test_a_list_of_pins_alone_can_be_confident(ranked, ask, pins):
    pin(*ranked[-pins:])
    found = ask(limit=3)
    assert (found.confident, origins(found)) == (True, ["pin"] * 3)
    assert not ask(limit=3, exclude=[str(ranked[0].pk)]).confident


def test_the_only_song_that_fits_may_be_pinned(ranked, ask):
    pin(ranked[0])
    found = ask(limit=3)
    assert (found.confident, origins(found)) == (True, ["pin", "match", "match"])
    assert found.suggestions[0].confidence == pytest.approx(ask(limit=1).suggestions[0].confidence)
    assert ask(limit=1).confident


def test_pins_that_do_not_fit_make_no_list_confident(ranked, ask):
    pin(*ranked[-2:])
    found = ask(limit=4, exclude=[str(ranked[0].pk)])
    assert (found.confident, origins(found)) == (False, ["pin", "pin", "nearest", "nearest"])


def test_a_pin_without_words_says_nothing_of_what_fits(ranked, ask, model, known):
    silent = add(60, lyrics="")
    read(model, known)
    pin(silent)
    assert [ask(limit=limit).confident for limit in (1, 3)] == [True, True]
    assert not ask(limit=1, exclude=[str(ranked[0].pk)]).confident


@pytest.mark.parametrize(
    ("values", "parameters"),
    [({"explicit": True}, {}), ({"markets": ["AT"]}, {"market": "US"}), ({"language": "fr"}, {"language": "en"})],
)
def test_a_pinned_song_that_may_not_be_shown_makes_no_list_confident(ranked, ask, values, parameters):
    for song in ranked:
        song.language = "en"
        save_song(song=song)
    assert ask(limit=3, **parameters).confident
    for name, value in values.items():
        setattr(ranked[0], name, value)
    save_song(song=ranked[0])
    pin(ranked[0])
    found = ask(limit=3, **parameters)
    assert (found.confident, origins(found)) == (False, ["nearest"] * 3)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_rule_that_moves_songs_does_not_change_whether_a_list_is_confident(ranked, ask, limit):
    Rule.objects.create(name="Less of this", action="bury", song=ranked[0], strength=10)
    Rule.objects.create(name="More of this", action="boost", song=ranked[-1], strength=10)
    assert ask(limit=limit).confident
    assert not ask(limit=limit, exclude=[str(ranked[0].pk)]).confident


def test_a_blocked_song_makes_no_list_confident(ranked, ask):
    pin(*ranked[:2])
    Rule.objects.create(name="Never", action="block", song=ranked[0])
    assert not ask(limit=3).confident


@pytest.mark.parametrize("fits", [True, False])
def test_the_api_says_whether_a_list_of_pins_is_confident(
    ranked, api_of, alice, upload, model, known, monkeypatch, fits
):
    post, _ = create_post(owner=alice, uploads=[upload()])
    monkeypatch.setitem(model.card["confidence"], "threshold", 1e-9 if fits else 1.1)
    pin(*ranked[-2:])
    loop, serving = Loop(), ServingReleases(LoadedRelease(known, model))
    assert loop._posts(serving)
    loop.leave()
    api, url = api_of(alice), f"/api/v1/posts/{post.pk}"
    api.post(f"{url}/recommendations", {"limit": 2}, format="json", headers={"Prefer": "respond-async"})
    assert answer_requests(serving, limit=8) == 1
    asked = post.requests.get(is_default=False)
    for answer in (api.get(url).json(), api.get(f"{url}/recommendations/{asked.pk}").json()):
        assert answer["confident"] is fits
        assert [one["origin"] for one in answer["suggestions"]][:2] == ["pin", "pin"]


# Popularity, exploration, taste


def test_popularity_counts_as_much_as_the_setting_says(songs, sure, ask, plain):
    last = ask(limit=12).suggestions[-1].song
    Song.objects.filter(pk=last.pk).update(popularity=1.0)
    assert ask(limit=1).suggestions[0].song != last
    plain(POPULARITY=50.0)
    assert ask(limit=1).suggestions[0].song == last


def test_an_explored_song_has_its_origin_and_propensity(songs, sure, ask, plain):
    plain(EXPLORATION=1.0)
    found = ask(limit=4, seed="a").suggestions
    (tried,) = [one for one in found if one.origin == "exploration"]
    assert tried.rank > 1
    assert tried.propensity == pytest.approx(1 / 3 / 8)  # places but the first, songs that were left
    assert [one.propensity for one in found if one is not tried] == pytest.approx([1, 2 / 3, 2 / 3])
    assert titles(ask(limit=4, seed="a")) == titles(ask(limit=4, seed="a"))


def choose(user, song, request, release, kind="choose"):
    Feedback.objects.create(user=user, request=request, song=song, release=release, kind=kind, rank=1, propensity=1.0)


def test_the_taste_of_a_person_moves_their_own_lists_alone(songs, sure, ask, plain, alice, bob, known):
    plain(TASTE=50.0)
    before = titles(ask(limit=12))
    last = Song.objects.get(title=before[-1])
    request = RecommendationRequest.objects.create(text="the sea")
    choose(alice, last, request, known)
    assert titles(ask(limit=12, user=alice.pk)) == before  # the host has not turned it on
    taste = offer_taste(user=alice)
    taste.since = timezone.now() - timedelta(days=1)
    taste.save()
    assert titles(ask(limit=12, user=alice.pk))[0] == last.title
    offer_taste(user=bob)
    assert titles(ask(limit=12, user=bob.pk)) == before
    assert titles(ask(limit=12)) == before
    choose(alice, last, request, known, kind="skip")
    assert titles(ask(limit=12, user=alice.pk))[-1] == last.title  # the latest event counts


# The line and the clip


@pytest.mark.parametrize(
    ("preview", "start"),
    [
        ({}, 62_000),
        ({"preview_url": "https://example.org/a.mp3", "preview_start_ms": 50_000}, 62_000),
        ({"preview_url": "https://example.org/a.mp3", "preview_start_ms": 50_000, "preview_length_ms": 9_000}, 50_000),
        ({"preview_url": "https://example.org/a.mp3", "preview_start_ms": 70_000}, 70_000),
    ],
)
def test_the_clip_starts_at_the_line_if_that_is_in_the_preview(plain, sure, model, known, ask, preview, start):
    add(1, lyrics="Only one line", synced_lyrics="[01:02.00]Only one line", **preview)
    read(model, known)
    (found,) = ask().suggestions
    assert (found.line, found.clip_start_ms) == ("Only one line", start)


# Combinations


def chances(ask, draws=500, **parameters):
    """Return how often each song got each rank, and what was recorded: {(title, rank): (share, propensity, origin)}."""
    counts, told = Counter(), {}
    for seed in range(draws):
        for one in ask(seed=str(seed), **parameters).suggestions:
            counts[one.song.title, one.rank] += 1
            told[one.song.title, one.rank] = (one.propensity, one.origin)
    return {key: (count / draws, *told[key]) for key, count in counts.items()}


def test_propensities_match_frequencies_beside_a_pin(songs, sure, ask, plain):
    plain(EXPLORATION=0.9)
    second = ask(limit=4, seed="any").suggestions[1].song
    Rule.objects.create(name="First", action="pin", song=second)
    found = chances(ask, limit=4)
    assert {rank: share for (title, rank), (share, *_) in found.items() if title == second.title} == {1: 1.0}
    for share, propensity, _ in found.values():
        assert share == pytest.approx(propensity, abs=0.08)
    assert {origin for _, _, origin in found.values()} == {"pin", "match", "exploration"}


def test_a_buried_song_is_not_explored(songs, sure, ask, plain):
    plain(EXPLORATION=1.0)
    Rule.objects.create(name="Less folk", action="bury", genre="folk", strength=10)
    for seed in range(30):
        assert {one.song.genre for one in ask(limit=3, seed=str(seed)).suggestions} == {"pop"}


def test_nothing_is_explored_where_nothing_fits(songs, unsure, ask, plain):
    plain(EXPLORATION=1.0)
    found = ask(limit=4).suggestions
    assert {one.origin for one in found} == {"nearest"}
    assert [one.propensity for one in found] == [1.0] * 4


def test_exploration_does_not_change_whether_a_list_is_confident(songs, ask, plain, monkeypatch, model):
    best = ask(limit=2).suggestions
    monkeypatch.setitem(model.card["confidence"], "threshold", best[0].confidence)
    plain(EXPLORATION=1.0)
    assert all(ask(limit=2, seed=str(seed)).confident for seed in range(10))


def test_an_artist_that_is_pinned_does_not_come_again(songs, sure, ask, model, known):
    first = ask(limit=1).suggestions[0].song
    silent = add(70, lyrics="", artist=first.artist)
    read(model, known)
    Rule.objects.create(name="Instrumental", action="pin", song=silent)
    assert [one.song.artist for one in ask(limit=8).suggestions].count(first.artist) == 1


def test_rules_hold_for_what_is_offered_when_nothing_fits(songs, unsure, ask):
    Song.objects.filter(title__in=["Song 0", "Song 1", "Song 2"]).update(editorial=True)
    Rule.objects.create(name="Less folk", action="bury", genre="folk", strength=10)
    found = ask(limit=3).suggestions
    assert [one.song.genre for one in found] == ["pop", "pop", "folk"]
    assert found[-1].reasons == [{"tag": "Less folk", "kind": "bury", "weight": 10.0}]
    assert [one.propensity for one in found] == pytest.approx([1 / 3] * 3)


def test_offered_songs_are_by_different_artists(songs, unsure, ask, model, known):
    for number in (80, 81, 82):
        add(number, artist="Everywhere", popularity=0.9)
    Song.objects.filter(title__in=["Song 1", "Song 2"]).update(popularity=0.1)
    read(model, known)
    assert [one.song.artist for one in ask(limit=3).suggestions].count("Everywhere") == 1


def test_a_boosted_song_is_compared_wherever_it_stands(songs, sure, ask, settings, plain):
    last = ask(limit=12).suggestions[-1].song
    plain(CANDIDATES=3)
    assert last not in [one.song for one in ask(limit=3).suggestions]
    Rule.objects.create(name="More of this", action="boost", song=last, strength=10)
    assert ask(limit=3).suggestions[0].song == last


def test_songs_that_were_hidden_make_room_for_others(songs, sure, ask):
    hidden = [one.song_id for one in ask(limit=5).suggestions]
    found = ask(limit=5, hidden=hidden)
    assert len(found.suggestions) == 5
    assert not {one.song_id for one in found.suggestions} & set(hidden)
    assert found.notice == ""


def test_a_request_knows_what_was_hidden_and_whose_it_is(songs, ask, known, alice, bob, upload, view):
    post, _ = create_post(owner=alice, uploads=[upload()])
    request = post.requests.get()
    choose(alice, songs[0], request, known, kind="hide")
    choose(bob, songs[1], request, known, kind="hide")
    asked = SongQuery.of(request, [view])
    assert set(asked.hidden) == {songs[0].pk, songs[1].pk}  # by whoever manages the post
    assert (asked.user, asked.seed) == (alice.pk, str(request.pk))


def test_a_text_finds_songs_for_a_photo_that_shows_nothing(songs, model, known, monkeypatch):
    monkeypatch.setitem(model.card["confidence"], "threshold", 1e-9)
    blank = PhotoView([], model.network.reference[1].cpu().numpy())
    loaded = LoadedRelease(known, model)
    assert not suggest_songs(loaded, SongQuery([blank], {"limit": 3})).confident
    found = suggest_songs(loaded, SongQuery([model.steer(blank, "gulls over the tide")], {"limit": 3}))
    assert {one.origin for one in found.suggestions} == {"match"}


MARKED = "[Chorus: tide gulls masts home]\ntide gulls masts\nLyrics by: Tide Gulls\n(x2)\nsnow road"


@pytest.fixture
def lines_of(plain, sure, model, known, ask):
    """Return a function that writes lyrics past the services, encodes them, and returns the shown line."""

    def lines(lyrics, **values):
        song = add(1, lyrics="sea light rain")
        Song.objects.filter(pk=song.pk).update(lyrics=lyrics, **values)
        sync_embeddings()
        read(model, known)
        (found,) = ask().suggestions
        return found.line, found.line_index, found.clip_start_ms

    return lines


def test_what_is_not_sung_is_never_the_line(lines_of):
    assert lines_of(MARKED)[0] in ("tide gulls masts", "snow road")


def test_a_lyric_without_a_sung_line_shows_none(lines_of):
    assert lines_of("[Chorus: tide gulls masts]\nMusic: Tide Gulls") == ("", None, None)


def test_a_line_of_markup_or_stamps_shows_its_words(lines_of):
    assert lines_of("[00:07.00]tide &amp; gulls") == ("tide & gulls", 0, 7000)


def test_several_lines_that_markup_keeps_apart_are_none_to_show(lines_of):
    assert lines_of("tide gulls<br>masts home") == ("", None, None)


@pytest.mark.parametrize(
    ("lyrics", "synced"),
    [
        ("We’re the tide", "[00:07.00]We're the tide"),
        ("We're the Tide!", "[00:07.00]<00:07.00>We’re <00:07.50>the <00:07.90>tide[00:08.50]"),
        ("The cafe\u0301 at sea", "[00:07.00]the caf\u00e9 at sea"),
        ("tide gulls\ntide gulls", "[offset:-2000]\n[00:05.00][00:05.00]tide, gulls"),
        ("tide gulls (x2)", "[00:00:07.00]v1: tide gulls"),
    ],
)
def test_the_clip_starts_at_its_line_however_that_is_written(plain, sure, model, known, ask, lyrics, synced):
    add(1, lyrics=lyrics, synced_lyrics=synced)
    read(model, known)
    (found,) = ask().suggestions
    assert found.clip_start_ms == 7000


# Lyrics that were edited after they were encoded


def edited(song, lyrics):
    song.lyrics = lyrics
    save_song(song=song)


def test_no_line_of_edited_lyrics_is_shown_until_they_are_encoded(songs, sure, ask, model, known):
    before = {one.song_id: one.line for one in ask(limit=12).suggestions}
    assert all(before.values())
    for song in songs[:6]:
        edited(song, "\n".join(reversed(song.lyrics.split("\n"))))
    found = {one.song: one for one in ask(limit=12).suggestions}
    assert len(found) == 12  # they are still suggested
    for song in songs[:6]:
        assert (found[song].line, found[song].line_index, found[song].clip_start_ms) == ("", None, None)
    assert all(found[song].line for song in songs[6:])
    read(model, known)
    assert {one.song_id: one.line for one in ask(limit=12).suggestions}.keys() == before.keys()
    assert all(one.line for one in ask(limit=12).suggestions)


def test_no_line_is_shown_of_lyrics_that_were_edited_past_the_services(songs, sure, ask, model, known):
    Song.objects.filter(pk=songs[0].pk).update(lyrics="one\ntwo\nthree\nfour")
    found = {one.song: one.line for one in ask(limit=12).suggestions}
    assert found[songs[0]] == ""
    sync_embeddings()
    assert {one.song: one.line for one in ask(limit=12).suggestions}[songs[0]] == ""
    read(model, known)
    assert {one.song: one.line for one in ask(limit=12).suggestions}[songs[0]] in ("one", "two", "three", "four")


def test_a_song_that_is_encoded_again_unchanged_shows_its_line_meanwhile(songs, sure, ask):
    SongEmbedding.objects.update(state="queued")
    assert all(one.line for one in ask(limit=12).suggestions)
