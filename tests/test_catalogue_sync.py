"""The reconciler brings embedding rows in line with songs, one slice of the catalogue in each turn."""

import pytest

from socialsongs.models import Song, SongEmbedding
from socialsongs.services import catalogue
from socialsongs.services.catalogue import set_status, sync_embeddings, sync_slice
from workers.lanes.reconcile import reconcile

pytestmark = pytest.mark.django_db


@pytest.fixture
def songs(release):
    """Make five songs past the services, so without embedding rows; return them in the order of their keys."""
    made = Song.objects.bulk_create(Song(title=f"Song {n}", artist="Ferry", lyrics=f"Tide {n}") for n in range(5))
    return sorted(made, key=lambda song: song.pk)


def with_rows():
    return set(SongEmbedding.objects.values_list("song", flat=True))


def test_a_walk_covers_the_catalogue_slice_by_slice_and_begins_again(songs, monkeypatch):
    monkeypatch.setattr(catalogue, "SLICE", 2)
    keys = [song.pk for song in songs]
    after = sync_slice(after=None)
    assert (after, with_rows()) == (keys[1], set(keys[:2]))
    after = sync_slice(after=after)
    assert (after, with_rows()) == (keys[3], set(keys[:4]))
    after = sync_slice(after=after)
    assert (after, with_rows()) == (None, set(keys))


def test_the_walk_goes_on_when_the_song_at_its_position_is_deleted(songs, monkeypatch):
    monkeypatch.setattr(catalogue, "SLICE", 2)
    after = sync_slice(after=None)
    Song.objects.filter(pk=after).delete()
    assert sync_slice(after=after) == songs[3].pk
    assert with_rows() == {songs[0].pk, songs[2].pk, songs[3].pk}


def test_the_reconciler_repairs_a_large_catalogue_in_turns(songs, monkeypatch):
    monkeypatch.setattr(catalogue, "SLICE", 2)
    for known in (2, 4, 5):
        reconcile()
        assert SongEmbedding.objects.count() == known
    Song.objects.update(lyrics="The gulls go home", language="gl")
    for known in (2, 4, 5):
        reconcile()
        assert SongEmbedding.objects.filter(language="gl").count() == known


def test_a_small_catalogue_is_repaired_in_one_turn(songs):
    reconcile()
    assert with_rows() == {song.pk for song in songs}
    SongEmbedding.objects.update(state="ready")
    Song.objects.filter(pk=songs[0].pk).update(lyrics="The gulls go home")
    reconcile()
    assert SongEmbedding.objects.get(state="queued").song_id == songs[0].pk


def test_only_the_given_songs_are_repaired(songs):
    assert sync_embeddings(songs=Song.objects.filter(title="Song 3")) == 1
    assert SongEmbedding.objects.get().song.title == "Song 3"
    assert sync_embeddings(songs=Song.objects.none()) == 0
    assert sync_embeddings() == 4
    assert sync_embeddings() == 0


def test_publishing_no_songs_is_no_error(songs):
    assert set_status(songs=[], status="published") == 0
