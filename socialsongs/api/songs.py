"""The published catalogue."""

from __future__ import annotations

import uuid

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Song
from ..selectors.catalogue import published_songs, search_songs
from ..selectors.posts import is_staff
from .base import ApiView, ByTitle, ReadThrottle
from .posts import PROBLEM
from .serializers import SongDetailSerializer, SongSerializer


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

    @extend_schema(operation_id="readSong", responses={200: SongDetailSerializer, 401: PROBLEM, 404: PROBLEM})
    def get(self, request: Request, song_id: uuid.UUID) -> Response:
        """A published song with its lyrics."""
        song = get_object_or_404(published_songs(), pk=song_id)
        return Response(SongDetailSerializer(song, context={"request": request}).data)


class SongPreview(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="playPreview", responses={(200, "audio/*"): OpenApiTypes.BINARY, 401: PROBLEM, 404: PROBLEM}
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
