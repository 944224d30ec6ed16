"""Recommendation requests for analysed photos, and for texts: interactive ones, and those of the bulk lane."""

from __future__ import annotations

import logging
from uuid import UUID

import numpy as np
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, OperationalError

from recommender.results import PhotoView, Tag
from socialsongs.broker import BULK, INTERACTIVE
from socialsongs.models import PhotoSubject, RecommendationRequest, State
from socialsongs.selectors.posts import answerable_requests, owner_of

from ..failures import Outage, PermanentFailure, ReleaseChanged
from ..figures import FIGURES
from ..inference.loading import LoadedRelease
from ..inference.passes import MODEL_ERRORS, PHOTO_PASSES, as_failure
from ..inference.photo_loading import decode, failure_of
from ..inference.serving import ServingReleases
from ..suggesting.query import SongQuery
from ..suggesting.steering import steered
from ..suggesting.suggest import suggest_songs
from .claim import claim, delay, finish, hand_back, holding, put_back, return_after_database_error
from .posts import check_serving, save_analyses, write_answers

logger = logging.getLogger(__name__)


def answer_requests(releases: ServingReleases, *, limit: int, bulk: bool = False) -> int:
    """Claim requests and answer each in a transaction of its own; return how many were claimed."""
    with FIGURES.stage("claim"):
        claimed = claim(answerable_requests(bulk=bulk).select_related("post__subject"), limit=limit)
    if claimed.rows:
        FIGURES.batch(BULK if bulk else INTERACTIVE, len(claimed.rows))
    for index, request in enumerate(claimed.rows):
        try:
            _answer(releases.for_person(owner_of(request=request)), request, claimed.token)
        except (OperationalError, InterfaceError):
            return_after_database_error(claimed.rows[index:], claimed.token)
            raise
    return len(claimed.rows)


def _answer(serving: LoadedRelease, request: RecommendationRequest, token: UUID) -> None:
    try:
        suggestions = suggest_songs(serving, request_query(serving, request))
        with holding([request], token) as held:
            check_serving([serving.release])
            write_answers(serving.release, dict.fromkeys(held, suggestions))
    except ReleaseChanged as error:
        logger.warning("Request %s is handed back: %s", request.pk, error)
        hand_back([request], token)
    except PermanentFailure as error:
        with holding([request], token) as held:
            finish(held, state=State.FAILED, reason=error.reason)
    except (OperationalError, InterfaceError):
        raise
    except (Outage, DatabaseError, ValidationError, *MODEL_ERRORS) as error:
        failure = as_failure(error)
        if isinstance(failure, Outage):
            logger.warning("Request %s is delayed: %s", request.pk, failure)
            delay(request, token, reason=failure.reason)
        else:
            logger.exception("Request %s is put back", request.pk)
            put_back(request, token)


def request_query(serving: LoadedRelease, request: RecommendationRequest) -> SongQuery:
    """Return the query of the request's photos, in order and steered by its text; without photos, that of the text.

    Analyses photos that this release has not analysed yet. Raises PermanentFailure or Outage.
    """
    query = SongQuery.of(request, _photo_views(serving, request))
    if not request.text:
        return query
    try:
        return steered(serving, query, request.text)
    except ValueError:
        raise PermanentFailure("text_empty") from None


def _photo_views(serving: LoadedRelease, request: RecommendationRequest) -> list[PhotoView]:
    if request.post is None:
        return []
    views = []
    for subject in request.post.photo_subjects:
        analysis = subject.analyses.filter(release=serving.release).first()
        if analysis is None:
            views.append(_analyse_now(serving, subject))
            continue
        tags = [Tag(tag["name"], tag["kind"], tag["score"], tuple(tag["box"])) for tag in analysis.tags]
        view = PhotoView(tags, np.asarray(analysis.embedding, np.float32))
        if analysis.direction is None:  # written by a version that did not store it
            save_analyses(serving, [(subject, view)])
        views.append(view)
    if not views:
        raise PermanentFailure("photo_missing")
    return views


def _analyse_now(serving: LoadedRelease, subject: PhotoSubject) -> PhotoView:
    decoding = decode(serving.model, subject)
    if failure := failure_of(decoding):
        raise failure
    (view,) = PHOTO_PASSES.run(serving.model.analyse_pixels, [decoding.result()])
    if isinstance(view, Exception):
        raise view
    save_analyses(serving, [(subject, view)])
    return view
