"""Two stages in memory agree with ranking all songs by relevance, and the workers agree with that."""

import numpy as np
import pytest
from django.core.management import call_command

from recommender.rank import TwoStage
from recommender.release import load_release
from recommender.results import EncodedLyric, PhotoView
from socialsongs.models import ModelRelease, Song, SongEmbedding, State
from workers.inference.loading import LoadedRelease
from workers.lanes.songs import encode_songs
from workers.suggesting.query import SongQuery
from workers.suggesting.suggest import suggest_songs

BY_RELEVANCE_ALONE = {"DIVERSITY": 0.0, "SONGS_PER_ARTIST": 1000, "POPULARITY": 0.0, "EXPLORATION": 0.0}
LINES = (
    "The tide comes in",
    "I count the masts",
    "Till you come in",
    "We dance all night",
    "Snow on the road",
    "My dog",
)


@pytest.fixture
def views(model):
    return [PhotoView([], vector) for vector in model.network.reference.cpu().numpy()]


@pytest.fixture
def songs(model):
    """Encode more songs than one batch ranks; each twice, so that there are equal scores."""
    different = ["\n".join(np.random.default_rng(seed).permutation(LINES)) for seed in range(150)]
    encoded = model.encode(different)
    assert all(isinstance(song, EncodedLyric) for song in encoded)
    return encoded * 2


def test_with_all_songs_as_candidates_it_is_the_full_ranking(model, songs, views):
    rank = TwoStage(model, songs)
    for view in views:
        places, scores = rank(view, len(songs))
        full = model.relevance(view.embedding, songs)
        assert places == sorted(range(len(songs)), key=lambda place: (-full[place], place))
        assert (scores == full[places]).all()


def test_stage_one_alone_decides_which_songs_are_ranked(model, songs, views):
    rank = TwoStage(model, songs)
    for view in views:
        places, scores = rank(view, 20)
        estimates = [float(model.query(view.embedding) @ song.stage_one) for song in songs]
        left_out = [estimate for place, estimate in enumerate(estimates) if place not in places]
        assert min(estimates[place] for place in places) >= max(left_out) - 1e-6
        assert len(places) == 20
        assert (np.diff(scores) <= 0).all()


def test_without_songs_there_is_nothing_to_rank(model, views):
    places, scores = TwoStage(model, [])(views[0], 300)
    assert (places, scores.shape) == ([], (0,))


@pytest.mark.parametrize("candidates", [300, 40])
def test_the_workers_answer_is_the_ranking_in_memory(db, settings, candidates):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "CANDIDATES": candidates, **BY_RELEVANCE_ALONE}
    call_command("import_songs", sample=True, verbosity=0)
    Song.objects.update(popularity=0)  # or the popular ones were offered for photos that nothing fits clearly
    call_command("releases", "register", verbosity=0)
    model = load_release()
    loaded = LoadedRelease(ModelRelease.objects.get(), model)
    while encode_songs(loaded, limit=64):
        pass
    assert not SongEmbedding.objects.exclude(state=State.READY).exists()
    catalogue = list(Song.objects.order_by("pk"))
    rank = TwoStage(model, model.encode([song.lyrics for song in catalogue]))
    for vector in model.network.reference[::40].cpu().numpy():
        view = PhotoView([], vector)
        places, scores = rank(view, candidates)
        suggestions = suggest_songs(loaded, SongQuery([view], {"limit": 10, "explicit": True})).suggestions
        assert [suggestion.song_id for suggestion in suggestions] == [catalogue[place].pk for place in places[:10]]
        assert [suggestion.score for suggestion in suggestions] == pytest.approx(scores[:10], abs=1e-3)
