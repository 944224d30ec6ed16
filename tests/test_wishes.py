"""A text beside a photo: its wishes and refusals move the ranking."""

import numpy as np
import pytest

from recommender.release import load_release
from recommender.results import EncodedLyric, PhotoView
from recommender.wishes import Sign, parse_wishes


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("upbeat summer", "upbeat summer", ""),
        ("no heartbreak", "", "heartbreak"),
        ("upbeat summer, no heartbreak", "upbeat summer", "heartbreak"),
        ("not sad but happy", "happy", "sad"),
        ("a song without love and rain, dancing", "a song dancing", "love rain"),
        ("No rain or snow, please", "", "rain snow"),
        ("I don\u2019t want anything about cars", "I", "anything about cars"),
        ("nothing too slow.\nLoud!", "Loud", "slow"),
        ("loud, no rain, snow or ice, dancing", "loud dancing", "rain snow ice"),
        ("notes and knots", "notes knots", ""),
        ("", "", ""),
        ("no", "", ""),
    ],
)
def test_wishes_and_refusals_are_distinguished(text, wanted, unwanted):
    said = {sign: " ".join(clause.text for clause in parse_wishes(text) if clause.sign is sign) for sign in Sign}
    assert (said[Sign.WANTED], said[Sign.REFUSED]) == (wanted, unwanted)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("I don't like jazz", [("I", "wanted", False), ("jazz", "refused", False)]),
        ("less guitar, more piano", [("guitar", "refused", False), ("piano", "wanted", False)]),
        ("not only sad songs", [("sad songs", "neutral", False)]),
        ("don't mind jazz, but no rap", [("jazz", "neutral", False), ("rap", "refused", False)]),
        ("anything but indie", [("indie", "refused", False)]),
        ("nothing but folk", [("folk", "wanted", True)]),
        ("folk or blues only", [("folk", "wanted", False), ("blues", "wanted", True)]),
        ("jazz instead of rock", [("jazz", "wanted", False), ("rock", "refused", False)]),
        ("no rap and more soul", [("rap", "refused", False), ("soul", "wanted", False)]),
        ("too gloomy", [("gloomy", "refused", False)]),
        ("me too", [("me too", "wanted", False)]),
        ("no more sad songs", [("sad songs", "refused", False)]),
        ("Ich mag Jazz nicht", [("Jazz", "refused", False)]),
        ("Jazz mag ich nicht", [("Jazz", "refused", False)]),
        ("lieber Soul statt Pop", [("Soul", "wanted", False), ("Pop", "refused", False)]),
        ("nicht nur Jazz, aber kein Rap", [("Jazz", "neutral", False), ("Rap", "refused", False)]),
        ("nichts außer Folk", [("Folk", "wanted", True)]),
        ("ohne Regen und Schnee", [("Regen", "refused", False), ("Schnee", "refused", False)]),
        ("das ist mir zu traurig", [("das", "wanted", False), ("traurig", "refused", False)]),
        ("zu Hause", [("zu Hause", "wanted", False)]),
    ],
)
def test_a_clause_says_how_its_words_are_meant(text, clauses):
    assert [tuple(clause) for clause in parse_wishes(text)] == clauses


LYRICS = {
    "dog": "My old dog runs in the park\nThe puppy barks and wags his tail\nA dog is a friend",
    "sea": "The waves roll in from the sea\nSand and tide and a sail\nThe ocean blue",
    "snow": "Snow falls on the winter road\nIce and frost on the window\nCold white hills",
}


@pytest.fixture(scope="module")
def starter():
    return load_release(device="cpu")


def relevance(model, view, refused=""):
    """Return how well each song fits; less where it is about refused words."""
    songs = model.encode(list(LYRICS.values()))
    assert all(isinstance(song, EncodedLyric) for song in songs)
    scores = model.relevance(view.embedding, songs)
    if refused:
        scores = scores - np.maximum(model.closeness(refused, songs), 0)
    return dict(zip(LYRICS, scores, strict=True))


def test_a_photo_is_moved_towards_the_wish_and_away_from_the_refusal(starter):
    photo = PhotoView([], starter.network.reference[0].cpu().numpy())
    plain = relevance(starter, photo)
    asked = relevance(starter, starter.steer(photo, "a winter with snow"), refused="dog")
    assert asked["snow"] > plain["snow"]
    assert asked["dog"] < plain["dog"]
    assert np.linalg.norm(starter.steer(photo, "dog").embedding) == pytest.approx(1, abs=1e-5)


def test_stage_one_follows_the_text_as_stage_two_does(starter):
    photo = PhotoView([], starter.network.reference[0].cpu().numpy())
    (snow,) = starter.encode([LYRICS["snow"]])
    before, after = (
        float(starter.query(view.embedding) @ snow.stage_one) for view in (photo, starter.steer(photo, "snow"))
    )
    assert after > before


def test_a_text_alone_ranks_songs_as_a_photo_does(starter):
    view = starter.view_text("waves of the ocean")
    scores = relevance(starter, view, refused="snow")
    assert view.certainty == 1
    assert max(scores, key=scores.get) == "sea"
    assert min(scores, key=scores.get) == "snow"


@pytest.mark.parametrize("text", ["", "?!", "\U0001f600"])
def test_a_text_without_words_is_refused(starter, text):
    with pytest.raises(ValueError, match="no words"):
        starter.view_text(text)
