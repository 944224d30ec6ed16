"""The migration packs line states of half precision in place, and unpacks them again."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from django.apps import apps
from django.db import connection

from recommender.packing import packed_type, unpack
from socialsongs.models import SongEmbedding

migration = import_module("socialsongs.migrations.0005_packed_states")


@pytest.mark.django_db
def test_line_states_are_packed_in_place(release, make_song, monkeypatch):
    monkeypatch.setattr(migration, "BATCH", 2)
    before = {}
    for number in range(5):
        states = np.random.default_rng(number).normal(size=(number + 1, 128)).astype("<f2")
        song = make_song(f"Song {number}")
        before[song.pk] = states
        SongEmbedding.objects.filter(song=song).update(line_states=states.tobytes())
    empty = make_song("Not read yet")
    migration.pack(apps, SimpleNamespace(connection=connection))
    for song, states in before.items():
        packed = np.frombuffer(bytes(SongEmbedding.objects.get(song=song).line_states), packed_type(128))
        assert np.abs(unpack(packed) - states).max() < np.abs(states).max() / 127
    assert SongEmbedding.objects.get(song=empty).line_states is None
    migration.unpack(apps, SimpleNamespace(connection=connection))
    for song, states in before.items():
        back = np.frombuffer(bytes(SongEmbedding.objects.get(song=song).line_states), "<f2").reshape(-1, 128)
        assert back == pytest.approx(states, abs=0.05)
