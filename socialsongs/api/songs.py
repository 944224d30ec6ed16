"""The published catalogue, and songs and posts that are like a song."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..audio import type_of
from ..database import reader
from ..errors import NotEncoded
from ..models import Scope, Song
from ..selectors.catalogue import published_songs
from ..selectors.external_users import circle_of
from ..selectors.permissions import permitted
from ..selectors.search import search_songs
from ..selectors.similar import posts_for_song, similar_songs
from .base import AnyAccept, ApiView, media
from .pagination import PARAMETERS, ByRank, ByTitle
from .problem import problems
from .ranges import in_ranges
from .schema import BYTES, operation
from .serializers import (
    FittingPostsSerializer,
    LimitSerializer,
    PostSummarySerializer,
    SimilarSongSerializer,
    SimilarSongsSerializer,
    SongDetailSerializer,
    SongSearchSerializer,
    SongSerializer,
)
from .throttles import ReadThrottle


class Songs(ApiView):
    scopes = {"GET": Scope.SONGS_READ}
    needs_user = False
    open_to_visitors = True
    throttle_classes = [ReadThrottle]
    pagination_class = ByTitle
    parameters = ("q", "language", "genre", "explicit", *PARAMETERS)

    @operation(
        operation_id="listSongs",
        parameters=[SongSearchSerializer],
        responses={200: SongSerializer(many=True)},
    )
    def get(self, request: Request) -> Response:
        """Published songs, by title; with `q`, those that match, best first."""
        query = SongSearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        songs = published_songs().using(reader())
        for name in ("language", "genre"):
            if asked[name]:
                songs = songs.filter(**{name: asked[name]})
        if not asked["explicit"]:
            songs = songs.filter(explicit=False)
        page: list[Song]
        if asked["q"].strip():
            ranked = ByRank()
            hits = ranked.paginate(search_songs(songs=songs, text=asked["q"]), request)
            known = songs.in_bulk([hit.pk for hit in hits])
            page = [known[hit.pk] for hit in hits if hit.pk in known]
            return ranked.get_paginated_response(self._data(page, request))
        by_title = self.pagination_class()
        page = by_title.paginate_queryset(songs, request, view=self) or []
        return by_title.get_paginated_response(self._data(page, request))

    def _data(self, page: list[Song], request: Request) -> Any:
        return SongSerializer(page, many=True, context={"request": request}).data


class SongDetail(ApiView):
    scopes = {"GET": Scope.SONGS_READ}
    needs_user = False
    open_to_visitors = True
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readSong", responses={200: SongDetailSerializer})
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """A published song with its lyrics."""
        song = get_object_or_404(published_songs(), pk=song_id)
        return Response(SongDetailSerializer(song, context={"request": request}).data)


def find_with_limit(request: Request, song_id: uuid.UUID) -> tuple[Song, int]:
    """Return a published song, or raise 404, and the requested limit."""
    song = get_object_or_404(published_songs(), pk=song_id)
    query = LimitSerializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    return song, query.validated_data["limit"]


class SimilarSongs(ApiView):
    scopes = {"GET": Scope.SONGS_READ}
    needs_user = False
    open_to_visitors = True
    parameters = ("limit",)
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="listSimilarSongs",
        parameters=[LimitSerializer],
        responses={200: SimilarSongsSerializer},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """Published songs whose lyrics are like those of a song, most similar first."""
        song, limit = find_with_limit(request, song_id)
        try:
            found = similar_songs(song=song, limit=limit)
        except NotEncoded as error:
            return not_encoded(error)
        context = {"request": request, "similarity": {similar.pk: similarity for similar, similarity in found}}
        songs = [similar for similar, _ in found]
        return Response({"results": SimilarSongSerializer(songs, many=True, context=context).data, "notice": None})


class FittingPosts(ApiView):
    scopes = {"GET": Scope.POSTS_READ}
    open_to_visitors = True
    parameters = ("limit",)
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="listFittingPosts",
        parameters=[LimitSerializer],
        responses={200: FittingPostsSerializer},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """Public posts whose photos the song fits, best first."""
        song, limit = find_with_limit(request, song_id)
        try:
            posts = posts_for_song(song=song, limit=limit, client=circle_of(user=request.user))
        except NotEncoded as error:
            return not_encoded(error)
        data = PostSummarySerializer(posts, many=True, context={"request": request}).data
        return Response({"results": data, "notice": None})


def not_encoded(error: NotEncoded) -> Response:
    return Response({"results": [], "notice": {"code": error.code, "detail": str(error)}})


class SongPreview(ApiView):
    scopes = {"GET": Scope.SONGS_READ}
    needs_user = False
    conditional = False
    content_negotiation_class = AnyAccept
    open_to_visitors = True
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="playPreview",
        parameters=[
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range of bytes."),
            OpenApiParameter(
                "If-Range", str, OpenApiParameter.HEADER, description="ETag or date of the part that the client has."
            ),
            OpenApiParameter("Content-Range", str, OpenApiParameter.HEADER, required=True, response=[206, 416]),
        ],
        responses={(200, "audio/*"): BYTES, (206, "audio/*"): BYTES, **problems(416)},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> FileResponse:
        """The preview clip of a published song; people who may view or change songs get those of drafts, too."""
        song = get_object_or_404(Song.objects.exclude(preview_file=""), pk=song_id)
        if song.status != Song.Status.PUBLISHED and not (
            permitted(user=request.user, permission="view_song")
            or permitted(user=request.user, permission="change_song")
        ):
            raise Http404
        storage, name = song.preview_file.storage, str(song.preview_file.name)
        kind = type_of(name)
        if kind is None:
            raise Http404
        try:
            file = storage.open(name)
        except FileNotFoundError:
            raise Http404 from None
        response = media(FileResponse(file, content_type=kind, as_attachment=True, filename=name))
        return in_ranges(request, response, file=file, storage=storage, name=name)
