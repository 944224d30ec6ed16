"""Recommendation requests for photos that were looked at, and for texts: of people who wait, or of the bulk lane."""

from __future__ import annotations

import logging
from uuid import UUID

import numpy as np
from django.core.exceptions import ValidationError
from django.db import DatabaseError, InterfaceError, OperationalError

from recommender.model import PhotoView, Tag
from socialsongs.models import PhotoSubject, RecommendationRequest, State
from socialsongs.selectors.posts import answerable_requests

from ..failures import Outage, PermanentFailure, ReleaseChanged
from ..figures import BULK, FIGURES, INTERACTIVE
from ..inference.passes import FAILURES, LOOKS, as_failure
from ..inference.photo_loading import decode, failure_of
from ..inference.serving import Served, Serving
from ..suggesting.query import SongQuery
from ..suggesting.suggest import suggest_songs
from .claim import claim, delay, finish, give_back, hand_back, holding, put_back
from .posts import answer, check_serving, save_analyses

logger = logging.getLogger(__name__)


def do_requests(serving: Serving, *, limit: int, bulk: bool = False) -> int:
    """Claim requests and answer each in a transaction of its own; returns how many were claimed."""
    with FIGURES.stage("claim"):
        claimed = claim(answerable_requests(bulk=bulk).select_related("post"), limit=limit)
    if claimed.rows:
        FIGURES.batch(BULK if bulk else INTERACTIVE, len(claimed.rows))
    for place, request in enumerate(claimed.rows):
        try:
            owner = request.post.owner_id if request.post else None
            _do(serving.of(owner), request, claimed.token)
        except (OperationalError, InterfaceError):
            give_back(claimed.rows[place:], claimed.token)
            raise
    return len(claimed.rows)


def _do(served: Served, request: RecommendationRequest, token: UUID) -> None:
    try:
        views = stored_views(served, request)
        found = suggest_songs(served.model, served.release, SongQuery.of(request, views))
        with holding([request], token) as held:
            check_serving([served.release])
            answer(served.release, dict.fromkeys(held, found))
    except ReleaseChanged as error:
        logger.warning("Request %s is taken anew: %s", request.pk, error)
        hand_back([request], token)
    except PermanentFailure as error:
        with holding([request], token) as held:
            finish(held, state=State.FAILED, reason=error.reason)
    except (OperationalError, InterfaceError):
        raise
    except (Outage, DatabaseError, ValidationError, *FAILURES) as error:
        failure = as_failure(error)
        if isinstance(failure, Outage):
            logger.warning("Request %s waits: %s", request.pk, failure)
            delay(request, token, reason=failure.reason)
        else:
            logger.exception("Request %s is put back", request.pk)
            put_back(request, token)


def stored_views(served: Served, request: RecommendationRequest) -> list[PhotoView]:
    """What the model saw in the request's photos, in order, steered by its text, or the text alone.

    Looks now at photos it has not seen. Raises PermanentFailure or Outage.
    """
    views = _photo_views(served, request)
    if not request.text:
        return views
    try:
        return [served.model.steer(view, request.text) for view in views] or [served.model.view_text(request.text)]
    except ValueError:
        raise PermanentFailure("text_empty") from None


def _photo_views(served: Served, request: RecommendationRequest) -> list[PhotoView]:
    if not (request.post or request.subject_id):
        return []
    subjects = (
        PhotoSubject.objects.filter(pk=request.subject_id)
        if request.subject_id
        else [subject for photo in request.post.photos.all() for subject in photo.subjects.all()]  # type: ignore[union-attr]
    )
    views = []
    for subject in subjects:
        analysis = subject.analyses.filter(release=served.release).first()
        if analysis is None:
            views.append(_look_now(served, subject))
            continue
        tags = [Tag(tag["name"], tag["kind"], tag["score"], tuple(tag["box"])) for tag in analysis.tags]
        view = PhotoView(tags, np.asarray(analysis.embedding, np.float32))
        if analysis.direction is None:  # of an older version
            save_analyses(served, [(subject, view)])
        views.append(view)
    if not views:
        raise PermanentFailure("photo_missing")
    return views


def _look_now(served: Served, subject: PhotoSubject) -> PhotoView:
    decoding = decode(served.model, subject)
    if failure := failure_of(decoding):
        raise failure
    (view,) = LOOKS.run(served.model.look, [decoding.result()])
    if isinstance(view, Exception):
        raise view
    save_analyses(served, [(subject, view)])
    return view
