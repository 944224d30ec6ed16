"""Songs similar to a song, and public posts that a song fits, by stored vectors without the model."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from operator import mul
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils.translation import gettext as _
from pgvector import HalfVector

from ..conf import config
from ..database import atomic, connection
from ..errors import NotEncoded
from ..models import ModelRelease, Post, PostPhoto, Song, SongEmbedding, State
from ..policy import public_among
from .nearest import nearest_songs, search_further, song_filters
from .photo_rows import photo_rows
from .posts import public_posts
from .releases import active_release

# Candidates whose cosine is computed, for each song of the limit: the index prefers songs far from the mean.
CANDIDATES_PER_SONG = 10
FEWEST_CANDIDATES = 100

NEAREST = "analysis.direction <#> %(song)s::halfvec"
# Joins the photos that the index finds to their posts: attached ones by their subject, uploaded ones by the photo. A
# subject stores the photo's key as text, since photos of hosts have keys of any type.
BEST_PHOTOS = f"""
WITH near AS MATERIALIZED (
    SELECT post.id, {NEAREST} AS distance
    FROM socialsongs_photoanalysis AS analysis
    JOIN socialsongs_photosubject AS subject ON subject.id = analysis.subject_id
    LEFT JOIN socialsongs_post AS attached ON attached.subject_id = subject.id
    LEFT JOIN socialsongs_postphoto AS photo
        ON photo.id = CASE WHEN subject.content_type_id = %(photos)s THEN subject.object_id::uuid END
    JOIN socialsongs_post AS post ON post.id = COALESCE(attached.id, photo.post_id)
    WHERE (%(models)s::int[] IS NULL OR subject.content_type_id = ANY(%(models)s))
        AND analysis.release_id = %(release)s AND analysis.direction IS NOT NULL
        AND post.visibility = %(public)s AND post.state = %(ready)s
        AND CASE WHEN %(client)s::uuid IS NULL THEN NOT EXISTS (
            SELECT FROM socialsongs_externaluser AS person
            JOIN socialsongs_apiclient AS client ON client.id = person.client_id
            WHERE person.user_id = post.owner_id AND person.made AND NOT client.shares_public_posts
        ) ELSE EXISTS (
            SELECT FROM socialsongs_externaluser AS person
            WHERE person.user_id = post.owner_id AND person.made AND person.client_id = %(client)s::uuid
        ) END
    ORDER BY {NEAREST}
    LIMIT %(candidates)s
)
SELECT id FROM near GROUP BY id ORDER BY min(distance), id LIMIT %(limit)s
"""
# Adding 0.0 keeps the planner from using the index.
EXACTLY = BEST_PHOTOS.replace(f"ORDER BY {NEAREST}", f"ORDER BY ({NEAREST}) + 0.0")


class SongVector(NamedTuple):
    """A song's stage-one vector, (SEARCH_DIM,), and the active release that encoded it."""

    release: ModelRelease
    vector: list[float]


def similar_songs(*, song: Song, limit: int) -> list[tuple[Song, float]]:
    """Return published songs with similar lyrics, most similar first, with their similarity from 0 to 1.

    Of several recordings of one song by the same artist, returns one. Explicit songs are similar only to explicit
    ones. Only songs of the site's market are returned. Raises NotEncoded.
    """
    release, own = _encoded(song)
    near = nearest_songs(
        release=release,
        embedding=[*own[:-1], 0.0],
        condition=song_filters(parameters={"explicit": song.explicit, "exclude": [song.pk]}),
        limit=max(FEWEST_CANDIDATES, CANDIDATES_PER_SONG * limit),
    )
    rows = SongEmbedding.objects.filter(pk__in=[candidate.pk for candidate in near], stage_one__isnull=False)
    compared = sorted(
        (-_cosine(own, vector), key, _recording_key(title, artist))
        for key, vector, title, artist in rows.values_list("song_id", "stage_one", "song__title", "song__artist")
    )
    best: dict[tuple[str, str], tuple[UUID, float]] = {}
    for negative_similarity, key, name in compared:
        if name != _recording_key(song.title, song.artist):
            best.setdefault(name, (key, max(0.0, -negative_similarity)))
    chosen = list(best.values())[:limit]
    songs = Song.objects.in_bulk([key for key, _ in chosen])
    return [(songs[key], similarity) for key, similarity in chosen if key in songs]


def posts_for_song(
    *, song: Song, limit: int, client: UUID | None = None, models: Sequence[type[Model]] | None = None
) -> list[Post]:
    """Return public posts that the song fits, best first; the best photo of a post counts.

    ``client``: posts of its circle; None: of the site's (``selectors.external_users``). ``models``: only posts of
    attached photos of these models. Searches only photos that the active release analysed: not those of people whom a
    staged one serves. Raises NotEncoded.
    """
    release, own = _encoded(song)
    values: dict[str, Any] = {
        "photos": ContentType.objects.get_for_model(PostPhoto).pk,
        "release": release.pk,
        "public": Post.Visibility.PUBLIC,
        "ready": State.READY,
        "song": HalfVector(own).to_text(),
        "models": models and [ContentType.objects.get_for_model(model).pk for model in models],
        "limit": limit,
        "client": client,
        "candidates": limit * config().MAX_PHOTOS_PER_POST,
    }
    with atomic(), connection().cursor() as cursor:
        search_further(values["candidates"])
        cursor.execute(BEST_PHOTOS, values)
        if cursor.rowcount < limit:  # the index scan gave up, or there are no more
            cursor.execute(EXACTLY, values)
        keys = [key for (key,) in cursor.fetchall()]
    posts = public_posts(client=client).prefetch_related(photo_rows("subject__photo")).in_bulk(keys)
    return public_among([posts[key] for key in keys if key in posts])


def _encoded(song: Song) -> SongVector:
    release = active_release()
    rows = SongEmbedding.objects.filter(song=song, release=release, stage_one__isnull=False)
    vector = rows.values_list("stage_one", flat=True).first()
    if release is None or vector is None:
        raise NotEncoded(_("This song has not been encoded yet, or has no lyrics to compare. Try again in a while."))
    return SongVector(release, list(vector))


def _cosine(one: Sequence[float], other: Any) -> float:
    """Return the similarity of two stage-one vectors. The last number of each is not part of the song's vector."""
    one, other = one[:-1], list(other)[:-1]
    lengths = hypot(*one) * hypot(*other)
    return sum(map(mul, one, other)) / lengths if lengths else 0.0


def _recording_key(title: str, artist: str) -> tuple[str, str]:
    return title.casefold(), artist.casefold()
