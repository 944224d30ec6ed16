"""Interactive work: posts to be looked at, and recommendation requests to be answered."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from django.db import DatabaseError
from django.db.models import Prefetch, Q
from PIL.Image import Image

from recommender.images import PhotoError, load_photo
from recommender.model import Image2Song, PhotoView, Tag
from socialsongs.conf import config
from socialsongs.models import ModelRelease, PhotoAnalysis, PhotoSubject, Post, PostPhoto, RecommendationRequest, State

from .claim import LeaseLost, claim, finish, holding, put_back
from .suggest import find_songs, is_confident, save_suggestions

logger = logging.getLogger(__name__)

DECODERS = 4


class PermanentFailure(Exception):
    """Trying again will not help; ``reason`` is the code the poster is told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReleaseChanged(Exception):
    """Another release answers by now: what this one found is dropped, the row is taken anew."""


@dataclass
class Job:
    """A post with its decoded photos, or the failure that stopped it."""

    post: Post
    subjects: list[PhotoSubject]
    photos: list[Image]
    failure: Exception | None = None


def do_posts(model: Image2Song, release: ModelRelease) -> int:
    """Claim a batch of posts and see them through; returns how many were claimed."""
    # All that decoding needs: in a thread each query would open a connection of its own.
    photos = Prefetch("photos", PostPhoto.objects.order_by("position").prefetch_related("subjects__photo"))
    claimed = claim(Post.objects.prefetch_related(photos), limit=config().INTERACTIVE_BATCH)
    if not claimed.rows:
        return 0
    with ThreadPoolExecutor(DECODERS) as pool:
        jobs = list(pool.map(_decode, claimed.rows))
    views = _look(model, jobs)
    for job in jobs:
        _conclude(model, release, job, views.get(job.post.pk, []), claimed.token)
    return len(jobs)


def _decode(post: Post) -> Job:
    subjects = [subject for photo in post.photos.all() for subject in photo.subjects.all()]
    job = Job(post, subjects, [])
    try:
        for photo in post.photos.all():
            with photo.subjects.all()[0].open() as file:
                job.photos.append(load_photo(file))
    except FileNotFoundError:
        job.failure = PermanentFailure("photo_missing")
    except PhotoError:
        job.failure = PermanentFailure("photo_unreadable")
    except OSError as error:  # the storage, for now
        job.failure = error
    return job


def _look(model: Image2Song, jobs: Sequence[Job]) -> dict[uuid.UUID, list[PhotoView]]:
    """One forward pass for all photos. When it fails, halves are tried, down to the single post that is to blame."""
    good = [job for job in jobs if job.failure is None]
    if not good:
        return {}
    try:
        views = iter(model.analyse([photo for job in good for photo in job.photos]))
        return {job.post.pk: [next(views) for _ in job.photos] for job in good}
    except (RuntimeError, ValueError) as error:  # out of memory is a RuntimeError of torch
        if len(good) == 1:
            logger.exception("Post %s could not be looked at", good[0].post.pk)
            good[0].failure = error
            return {}
        middle = len(good) // 2
        return _look(model, good[:middle]) | _look(model, good[middle:])


def _conclude(model: Image2Song, release: ModelRelease, job: Job, views: list[PhotoView], token: uuid.UUID) -> None:
    """Analysis, suggestions and state of one post in one transaction, if it is still ours."""
    post = job.post
    try:
        if isinstance(job.failure, PermanentFailure):
            with holding(post, token):
                finish(post, state=State.FAILED, reason=job.failure.reason)
                for request in post.requests.filter(is_default=True):
                    finish(request, state=State.FAILED, reason=job.failure.reason)
        elif job.failure is not None:
            logger.warning("Post %s is put back: %s", post.pk, job.failure)
            put_back(post, token)
        else:
            with holding(post, token):
                _check_active(release)
                for subject, view in zip(job.subjects, views, strict=True):
                    save_analysis(subject, release, view)
                for request in post.requests.filter(is_default=True):
                    _answer(model, release, request, views)
                finish(post)
    except LeaseLost as error:
        logger.warning("%s", error)
    except ReleaseChanged as error:
        logger.warning("Post %s is taken anew: %s", post.pk, error)
        put_back(post, token, counted=False)
    except DatabaseError:
        logger.exception("Post %s is put back", post.pk)
        put_back(post, token)


def _check_active(release: ModelRelease) -> None:
    """Raises ReleaseChanged."""
    if not ModelRelease.objects.filter(pk=release.pk, state=ModelRelease.State.ACTIVE).exists():
        raise ReleaseChanged(f"{release.name} is no longer active")


def _answer(
    model: Image2Song, release: ModelRelease, request: RecommendationRequest, views: Sequence[PhotoView]
) -> None:
    suggestions = find_songs(model, release, views, request.parameters)
    save_suggestions(request, suggestions)
    finish(request, release=release, confident=is_confident(model, suggestions))


def save_analysis(subject: PhotoSubject, release: ModelRelease, view: PhotoView) -> None:
    tags = [{"name": tag.name, "kind": tag.kind, "score": tag.score, "box": list(tag.box)} for tag in view.tags]
    PhotoAnalysis.objects.update_or_create(
        subject=subject, release=release, defaults={"tags": tags, "embedding": view.embedding.tolist()}
    )


def do_requests(model: Image2Song, release: ModelRelease) -> int:
    """Answer requests for photos that have been looked at, and for texts; returns how many were claimed."""
    ready = Q(post__isnull=True) | Q(post__state=State.READY)
    claimed = claim(RecommendationRequest.objects.filter(ready), limit=config().INTERACTIVE_BATCH)
    for request in claimed.rows:
        try:
            with holding(request, claimed.token):
                _check_active(release)
                views = stored_views(model, release, request)
                _answer(model, release, request, views)
        except LeaseLost as error:
            logger.warning("%s", error)
        except ReleaseChanged as error:
            logger.warning("Request %s is taken anew: %s", request.pk, error)
            put_back(request, claimed.token, counted=False)
        except PermanentFailure as error:
            with holding(request, claimed.token):
                finish(request, state=State.FAILED, reason=error.reason)
        except DatabaseError:
            logger.exception("Request %s is put back", request.pk)
            put_back(request, claimed.token)
    return len(claimed.rows)


def stored_views(model: Image2Song, release: ModelRelease, request: RecommendationRequest) -> list[PhotoView]:
    """What the model saw in the request's photos, in order, or its text. Looks now at photos it has not seen."""
    if request.text:
        try:
            return [model.view_text(request.text)]
        except ValueError:
            raise PermanentFailure("text_empty") from None
    subjects = (
        PhotoSubject.objects.filter(pk=request.subject_id)
        if request.subject_id
        else [subject for photo in request.post.photos.all() for subject in photo.subjects.all()]  # type: ignore[union-attr]
    )
    views = []
    for subject in subjects:
        analysis = subject.analyses.filter(release=release).first()
        if analysis is None:
            views.append(_look_now(model, release, subject))
            continue
        tags = [Tag(tag["name"], tag["kind"], tag["score"], tuple(tag["box"])) for tag in analysis.tags]
        views.append(PhotoView(tags, np.asarray(analysis.embedding, np.float32)))
    return views


def _look_now(model: Image2Song, release: ModelRelease, subject: PhotoSubject) -> PhotoView:
    try:
        with subject.open() as file:
            view = model.analyse([load_photo(file)])[0]
    except FileNotFoundError:
        raise PermanentFailure("photo_missing") from None
    except PhotoError:
        raise PermanentFailure("photo_unreadable") from None
    save_analysis(subject, release, view)
    return view
