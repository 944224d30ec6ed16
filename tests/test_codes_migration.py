"""The migration maps codes that were saved before codes were mapped."""

import importlib

import pytest
from django.apps import apps
from django.db import connection

from socialsongs.models import Rule, Song, SongEmbedding
from workers.lanes.reconcile import Walk, reconcile

migration = importlib.import_module("socialsongs.migrations.0013_codes")


class Editor:
    connection = connection


@pytest.mark.django_db
def test_old_codes_are_mapped_and_what_is_none_stays(release, make_song):
    written = {
        "Both": ("eng", ["UK", "GB", "DE"]),
        "One": ("en_us", ["UK"]),
        "Right": ("pt-BR", ["FR"]),
        "Unknown": ("klingonish", ["99"]),
    }
    for title, (language, markets) in written.items():
        Song.objects.filter(pk=make_song(title).pk).update(language=language, markets=markets)
    for market in ("UK", ""):
        Rule.objects.create(name=f"In {market}", action="block", market=market)

    migration.map_codes(apps, Editor)

    kept = {
        title: (language, markets)
        for title, language, markets in Song.objects.values_list("title", "language", "markets")
    }
    assert kept == written | {"Both": ("en", ["GB", "DE"]), "One": ("en-US", ["GB"])}
    assert set(Rule.objects.values_list("market", flat=True)) == {"GB", ""}
    Walk.after = None
    reconcile()
    rows = SongEmbedding.objects.values_list("song__title", "language", "markets")
    assert {title: (language, markets) for title, language, markets in rows} == kept
