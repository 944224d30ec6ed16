"""The transform of stage one's vectors keeps the nearest songs, and makes them easier to index."""

import numpy as np
import pytest

from recommender.space import HALVINGS, SearchSpace

DIM = 16


@pytest.fixture
def random():
    return np.random.default_rng(5)


@pytest.fixture
def queries(random):
    """Return queries that differ along a few axes only."""
    return (random.normal(size=(64, DIM)) * 0.7 ** np.arange(DIM)).astype(np.float32)


@pytest.fixture
def songs(random):
    return (random.normal(size=(500, DIM)) + 1.0).astype(np.float32)


@pytest.fixture
def space(queries, songs):
    return SearchSpace(queries, songs.mean(0), np.cov(songs.T, bias=True).astype(np.float32))


def test_the_inner_product_is_kept_up_to_a_constant_per_photo(space, queries, songs):
    for query in queries:
        estimates = space.songs(songs) @ space.query(query)
        np.testing.assert_allclose(estimates, (songs - songs.mean(0)) @ query, atol=1e-4)


def test_song_vectors_have_length_one(space, songs):
    lengths = np.linalg.norm(space.songs(songs), axis=1)
    assert np.mean(np.abs(lengths - 1) < 1e-4) > 0.95


def test_songs_are_far_apart_where_their_relevances_differ(space, queries, songs):
    placed = space.songs(songs)[:, :-1]
    apart = np.square(placed[1:] - placed[:-1]).sum(1)
    differences = np.square((songs[1:] - songs[:-1]) @ queries.T).mean(1)
    assert np.corrcoef(apart, differences)[0, 1] > 0.95
    assert np.corrcoef(np.square(songs[1:] - songs[:-1]).sum(1), differences)[0, 1] < 0.7


def test_the_difference_from_the_mean_song_is_restored(space, songs):
    np.testing.assert_allclose(space.differences(space.songs(songs)), songs - songs.mean(0), atol=1e-4)


def test_songs_in_the_order_of_their_cells_lie_next_to_their_neighbours(space, songs):
    placed, cells = space.songs(songs), space.cells(space.songs(songs))
    ordered = placed[np.argsort(cells)]

    def apart(rows):
        return np.linalg.norm(rows[1:] - rows[:-1], axis=1).mean()

    assert apart(ordered) < 0.85 * apart(placed)
    assert np.unique(cells).size > 0.9 * len(songs)
    halves = np.bincount(cells >> (HALVINGS - 2))  # of normally spread songs, as many in each
    assert len(halves) == 4
    assert halves.min() > 0.7 * len(songs) / 4


def test_a_release_that_knows_nothing_of_photos_or_songs_has_a_space(songs):
    nothing = SearchSpace(np.zeros((4, DIM), np.float32), np.zeros(DIM, np.float32), np.zeros((DIM, DIM), np.float32))
    assert np.isfinite(nothing.songs(songs)).all()
    assert np.isfinite(nothing.query(songs[0])).all()
    cells = nothing.cells(nothing.songs(songs))
    assert 0 <= cells.min() <= cells.max() < 2**HALVINGS
