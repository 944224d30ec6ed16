"""The version of all that an answer about a post shows, in one query: it changes when any of the rows does."""

from __future__ import annotations

from uuid import UUID

from django.contrib.contenttypes.models import ContentType

from ..database import connection
from ..models import PostPhoto

# The transaction that wrote a row and its place in the table name one version of the row (PostgreSQL: system columns).
# Songs and analyses are those that the answer shows; hidden songs are left out of it.
VERSION = """
SELECT concat_ws('|', post.xmin, post.ctid, asked.xmin, asked.ctid,
    (SELECT string_agg(photo.xmin || ':' || photo.ctid, ' ' ORDER BY photo.position)
        FROM socialsongs_postphoto AS photo WHERE photo.post_id = post.id),
    (SELECT string_agg(analysis.xmin || ':' || analysis.ctid, ' ' ORDER BY analysis.id)
        FROM socialsongs_postphoto AS photo
        JOIN socialsongs_photosubject AS subject
            ON subject.content_type_id = %(photos)s AND subject.object_id = photo.id::text
        JOIN socialsongs_photoanalysis AS analysis ON analysis.subject_id = subject.id
        WHERE photo.post_id = post.id),
    (SELECT song.xmin || ':' || song.ctid FROM socialsongs_song AS song WHERE song.id = post.chosen_song_id),
    (SELECT string_agg(concat_ws(':', suggestion.xmin, suggestion.ctid, song.xmin, song.ctid), ' '
                       ORDER BY suggestion.rank)
        FROM socialsongs_suggestion AS suggestion
        JOIN socialsongs_song AS song ON song.id = suggestion.song_id
        WHERE suggestion.request_id = asked.id),
    (SELECT string_agg(hidden.xmin || ':' || hidden.ctid, ' ' ORDER BY hidden.id)
        FROM socialsongs_recommendationrequest AS any_list
        JOIN socialsongs_feedback AS hidden ON hidden.request_id = any_list.id AND hidden.kind = 'hide'
        WHERE any_list.post_id = post.id))
FROM socialsongs_post AS post
LEFT JOIN socialsongs_recommendationrequest AS asked ON asked.post_id = post.id AND asked.is_default
WHERE post.id = %(post)s AND post.subject_id IS NULL
"""


def post_version(*, post_id: UUID) -> str | None:
    """Return the version; None where there is no such post, or it is of an attached photo, whose row is the host's."""
    photos = ContentType.objects.get_for_model(PostPhoto).pk
    with connection().cursor() as cursor:
        cursor.execute(VERSION, {"photos": photos, "post": post_id})
        row = cursor.fetchone()
    return None if row is None else str(row[0])
