"""The published catalogue, and what is near a song."""

from __future__ import annotations

import uuid

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ..errors import NotEncoded
from ..models import Song
from ..selectors.catalogue import published_songs, search_songs
from ..selectors.posts import is_staff
from ..selectors.similar import posts_for_song, similar_songs
from .base import ApiView, ByTitle, ReadThrottle
from .problem import PROBLEM
from .serializers import (
    FittingPostsSerializer,
    HowManySerializer,
    PostSummarySerializer,
    SimilarSongSerializer,
    SimilarSongsSerializer,
    SongDetailSerializer,
    SongSerializer,
)


class Songs(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="listSongs",
        parameters=[
            OpenApiParameter("q", description="Words, or beginnings of words, of title, artist, album or lyrics."),
            OpenApiParameter("language", description="As in the song, e.g. en"),
            OpenApiParameter("genre"),
            OpenApiParameter("explicit", OpenApiTypes.BOOL, description="false leaves explicit songs out."),
        ],
        responses={200: SongSerializer(many=True), 401: PROBLEM, 429: PROBLEM},
    )
    def get(self, request: Request) -> Response:
        """Published songs by title; all of them, or those that match."""
        songs = search_songs(songs=published_songs(), text=request.query_params.get("q", ""))
        for name in ("language", "genre"):
            if value := request.query_params.get(name):
                if "\0" in value:
                    raise ValidationError({name: ["Null characters are not allowed."]})
                songs = songs.filter(**{name: value})
        if request.query_params.get("explicit", "").lower() in ("false", "0", "no"):
            songs = songs.filter(explicit=False)
        paginator = ByTitle()
        page = paginator.paginate_queryset(songs, request, view=self)
        return paginator.get_paginated_response(SongSerializer(page, many=True, context={"request": request}).data)


class SongDetail(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="readSong", responses={200: SongDetailSerializer, 401: PROBLEM, 404: PROBLEM, 429: PROBLEM}
    )
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """A published song with its lyrics."""
        song = get_object_or_404(published_songs(), pk=song_id)
        return Response(SongDetailSerializer(song, context={"request": request}).data)


def find_with_limit(request: Request, song_id: uuid.UUID) -> tuple[Song, int]:
    """A published song, or 404, and how many are asked for."""
    song = get_object_or_404(published_songs(), pk=song_id)
    query = HowManySerializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    return song, query.validated_data["limit"]


class SimilarSongs(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="listSimilarSongs",
        parameters=[HowManySerializer],
        responses={200: SimilarSongsSerializer, 400: PROBLEM, 401: PROBLEM, 404: PROBLEM, 429: PROBLEM},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """Published songs with lyrics like those of a song, most alike first."""
        song, limit = find_with_limit(request, song_id)
        try:
            found = similar_songs(song=song, limit=limit)
        except NotEncoded as error:
            return nothing(error)
        context = {"request": request, "similarity": {similar.pk: similarity for similar, similarity in found}}
        songs = [similar for similar, _ in found]
        return Response({"results": SimilarSongSerializer(songs, many=True, context=context).data, "notice": None})


class FittingPosts(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="listFittingPosts",
        parameters=[HowManySerializer],
        responses={200: FittingPostsSerializer, 400: PROBLEM, 401: PROBLEM, 404: PROBLEM, 429: PROBLEM},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """Public posts whose photos a song fits, best first."""
        song, limit = find_with_limit(request, song_id)
        try:
            posts = posts_for_song(song=song, limit=limit)
        except NotEncoded as error:
            return nothing(error)
        data = PostSummarySerializer(posts, many=True, context={"request": request}).data
        return Response({"results": data, "notice": None})


def nothing(error: NotEncoded) -> Response:
    return Response({"results": [], "notice": {"code": error.code, "detail": str(error)}})


class SongPreview(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="playPreview",
        responses={(200, "audio/*"): OpenApiTypes.BINARY, 401: PROBLEM, 404: PROBLEM, 429: PROBLEM},
    )
    def get(self, request: Request, song_id: uuid.UUID) -> FileResponse:
        """The preview clip of a published song; staff hear drafts, too."""
        songs = Song.objects.all() if is_staff(user=request.user) else published_songs()
        song = get_object_or_404(songs.exclude(preview_file=""), pk=song_id)
        try:
            file = song.preview_file.storage.open(str(song.preview_file.name))
        except FileNotFoundError:
            raise Http404 from None
        response = FileResponse(file, filename=str(song.preview_file.name))
        response["Cache-Control"] = "private, max-age=86400"
        response["X-Content-Type-Options"] = "nosniff"
        return response
