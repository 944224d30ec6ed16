"""The catalogue, and each release's encoding of it."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Func, Value
from django.db.models.functions import MD5
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField

from ..audio import PreviewField, check_preview
from .base import AppModel
from .claimable import Claimable
from .release import SEARCH_DIM, ModelRelease

# Expressions that a search matches, by database functions (migration 0010). The indexes below and
# ``selectors.search`` must use the same ones.
TITLE_KEY = Func("title", function="socialsongs_key", output_field=models.TextField())
ARTIST_KEY = Func("artist", function="socialsongs_key", output_field=models.TextField())
NAMES = Func("title", "artist", "album", Value(""), function="socialsongs_words", output_field=SearchVectorField())
WORDS = Func("title", "artist", "album", "lyrics", function="socialsongs_words", output_field=SearchVectorField())


class Song(AppModel):
    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        RETIRED = "retired", _("Retired")

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(_("title"), max_length=300)
    artist = models.CharField(_("artist"), max_length=300)
    album = models.CharField(_("album"), max_length=300, blank=True, default="")
    lyrics = models.TextField(
        _("lyrics"),
        blank=True,
        default="",
        validators=[MaxLengthValidator(100_000)],  # PostgreSQL indexes the words of up to 1 MB
        help_text=_("One sung line per line, a blank line between stanzas."),
    )
    synced_lyrics = models.TextField(
        _("synced lyrics"),
        blank=True,
        default="",
        validators=[MaxLengthValidator(200_000)],
        help_text=_("LRC: lines such as [01:02.50]words. A clip starts at the stamp of its line."),
    )
    language = models.CharField(
        _("language"), max_length=12, default="en", help_text=_("BCP 47 code of the lyrics, e.g. en or pt-BR.")
    )
    genre = models.CharField(_("genre"), max_length=60, blank=True, default="")
    moods = ArrayField(models.CharField(max_length=40), default=list, blank=True, verbose_name=_("moods"))
    themes = ArrayField(models.CharField(max_length=40), default=list, blank=True, verbose_name=_("themes"))
    explicit = models.BooleanField(_("explicit"), default=False)
    year = models.PositiveSmallIntegerField(
        _("year"), null=True, blank=True, validators=[MinValueValidator(1000), MaxValueValidator(2200)]
    )
    preview_file = PreviewField(
        _("preview file"),
        upload_to="previews/",
        blank=True,
        default="",
        validators=[check_preview],
        help_text=_("MP3, M4A, Ogg, FLAC or WAV, by its content."),
    )
    preview_url = models.URLField(_("preview address"), max_length=500, blank=True, default="")
    preview_start_ms = models.PositiveIntegerField(
        _("preview start ms"), default=0, help_text=_("Time in the song at which the preview begins, in milliseconds.")
    )
    preview_length_ms = models.PositiveIntegerField(
        _("preview length ms"),
        default=30_000,
        db_default=30_000,
        help_text=_("Length of the preview, in milliseconds; clips start within it."),
    )
    artwork_url = models.URLField(_("artwork address"), max_length=500, blank=True, default="")
    isrc = models.CharField(_("ISRC"), max_length=12, blank=True, default="")
    musicbrainz_id = models.UUIDField(_("MusicBrainz recording id"), null=True, blank=True)
    licence = models.CharField(_("licence"), max_length=100, blank=True, default="")
    markets = ArrayField(
        models.CharField(max_length=2),
        default=list,
        blank=True,
        help_text=_("ISO 3166 country codes where the song may be shown; empty: everywhere."),
        verbose_name=_("markets"),
    )
    popularity = models.FloatField(
        _("popularity"), default=0.0, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    editorial = models.BooleanField(
        _("editorial"), default=False, help_text=_("Offered when no song clearly fits a photo.")
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.DRAFT)
    source = models.CharField(
        _("source"),
        max_length=100,
        blank=True,
        default="",
        help_text=_("Name of the source that the song was imported from."),
    )
    source_id = models.CharField(
        _("source id"), max_length=100, blank=True, default="", help_text=_("Id of the song in its source.")
    )
    # Computed by the database, so that every change of lyrics is seen, and outdated embeddings are found.
    lyrics_digest = models.GeneratedField(
        expression=MD5("lyrics"),
        output_field=models.CharField(max_length=32),
        db_persist=True,
        verbose_name=_("lyrics digest"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("song")
        verbose_name_plural = _("songs")
        ordering = ["title", "id"]
        indexes = [
            # API list of published songs, by title, cursor paged: WHERE status = 'published' ORDER BY title, id
            models.Index(fields=["status", "title", "id"], name="socialsongs_song_list"),
            # Admin list: newest first
            models.Index(fields=["-created_at"], name="socialsongs_song_newest"),
            # When no song fits: WHERE editorial, otherwise ORDER BY popularity DESC
            models.Index(fields=["id"], condition=models.Q(editorial=True), name="socialsongs_song_editorial"),
            models.Index(
                fields=["-popularity"], condition=models.Q(popularity__gt=0.0), name="socialsongs_song_popular"
            ),
            # Search in the API and admin: WHERE socialsongs_key(title) LIKE 'acdc%' OR socialsongs_key(artist) LIKE ..;
            # WHERE socialsongs_words(..) @@ 'word':* & ..
            models.Index(OpClass(TITLE_KEY, "text_pattern_ops"), name="socialsongs_song_title_key"),
            models.Index(OpClass(ARTIST_KEY, "text_pattern_ops"), name="socialsongs_song_artist_key"),
            GinIndex(NAMES, name="socialsongs_song_names"),
            GinIndex(WORDS, name="socialsongs_song_search"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "source_id"],
                condition=~models.Q(source_id=""),
                name="socialsongs_song_source_once",
            ),
            models.CheckConstraint(
                condition=models.Q(popularity__gte=0.0, popularity__lte=1.0),
                name="socialsongs_song_popularity_0_1",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} - {self.artist}"

    @property
    def has_preview(self) -> bool:
        return bool(self.preview_file or self.preview_url)


class SongEmbedding(Claimable):
    """One song as one release encoded it; also a row of work of the bulk lane.

    queued: to be encoded, for the first time or again. ready: searchable, or, with ``reason`` "no_lyrics" or
    "unsupported_language", processed and nothing to encode. failed: see ``reason``. The filter columns are
    copies of the song's, so that the vector query needs no join; only ``services.catalogue.sync_embeddings`` writes
    them.
    """

    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="embeddings", verbose_name=_("song"))
    release = models.ForeignKey(
        ModelRelease, on_delete=models.CASCADE, related_name="song_embeddings", verbose_name=_("release")
    )
    # The version of the lyrics that this row is about. When the song's differs, the row is queued again,
    # and a worker's claim on it ends.
    lyrics_digest = models.CharField(_("lyrics digest"), max_length=32, editable=False)

    # l0: the lyrics pooled without a photo, in the search space, (SEARCH_DIM,)
    stage_one = HalfVectorField(_("stage one"), dimensions=SEARCH_DIM, null=True, blank=True)
    # The cell of l0: rows stored in this order are searched and indexed faster (``services.indexes.cluster``).
    cell = models.IntegerField(_("cell"), null=True, editable=False)
    # g_1..g_m for the tag attention, (m,) records of EMBEDDING_DIM int8 and their fp16 scale, little endian
    line_states = models.BinaryField(_("line states"), null=True, blank=True)
    # Index of each state's line in the lyric's lines (blank lines are not encoded), (m,); empty when the lyrics changed
    # since the states were computed
    line_offsets = ArrayField(models.PositiveIntegerField(), default=list, blank=True, verbose_name=_("line offsets"))
    # Mean relevance over the release's reference photos: subtracted, so that no song suits every photo.
    mean_score = models.FloatField(_("mean score"), default=0.0)

    status = models.CharField(_("status"), max_length=10, default=Song.Status.DRAFT, editable=False)
    explicit = models.BooleanField(_("explicit"), default=False, editable=False)
    language = models.CharField(_("language"), max_length=12, default="en", editable=False)
    genre = models.CharField(_("genre"), max_length=60, blank=True, default="", editable=False)
    markets = ArrayField(
        models.CharField(max_length=2), default=list, blank=True, editable=False, verbose_name=_("markets")
    )

    class Meta:
        verbose_name = _("song embedding")
        verbose_name_plural = _("song embeddings")
        constraints = [
            models.UniqueConstraint(fields=["release", "song"], name="socialsongs_embedding_once"),
        ]
        indexes = [
            # Bulk claim: WHERE state IN ('queued', 'analysing') ORDER BY queued_at, skipping live leases
            models.Index(
                fields=["queued_at"],
                condition=models.Q(state__in=["queued", "analysing"]),
                name="socialsongs_embedding_claim",
            ),
            # Metrics: SELECT release, count(*) WHERE state IN ('ready', 'failed') AND NOT status = 'retired'
            models.Index(
                fields=["release"],
                condition=models.Q(state__in=["ready", "failed"]) & ~models.Q(status="retired"),
                name="socialsongs_embedding_done",
            ),
            # Selective filters use these indexes and sort exactly: WHERE release = .. AND status = 'published'
            # AND genre = .. AND (language = 'pt' OR language LIKE 'pt-%'). A genre can have many songs, so
            # the index includes all columns that the query reads.
            models.Index(
                fields=["release", "genre"],
                include=["id", "song", "language", "explicit", "markets", "stage_one"],
                condition=models.Q(status="published"),
                name="socialsongs_embedding_genre",
            ),
            models.Index(
                fields=["release", "language"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                condition=models.Q(status="published"),
                name="socialsongs_embedding_language",
            ),
        ]
        # The HNSW indexes on stage_one are partial, one for each release, and created CONCURRENTLY after the
        # import by `manage.py socialsongs_releases index NAME` (query: ORDER BY stage_one <#> photo LIMIT n).

    def __str__(self) -> str:
        return f"{self.song_id} in {self.release_id}: {self.state}"
