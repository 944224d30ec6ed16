"""Stored photos, read and decoded on threads for the network."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from io import BytesIO

from torch import Tensor

from recommender.images import PhotoError, load_photo
from recommender.model import Image2Song
from socialsongs.errors import DecodersUnavailable
from socialsongs.intake import IntakeError, clean_bytes
from socialsongs.models import PhotoSubject, PostPhoto

from ..failures import Outage, PermanentFailure

DECODERS = 4


@cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")


def decode(model: Image2Song, subject: PhotoSubject) -> Future[Tensor]:
    """A stored photo as the network wants it, (3, S, S), on a thread."""
    _ = subject.photo  # the row, now: on the thread a query would open a connection of its own
    return _decoders().submit(_decode, model, subject)


def _decode(model: Image2Song, subject: PhotoSubject) -> Tensor:
    try:
        with subject.open() as file:
            content = file.read()
    except FileNotFoundError:
        raise
    except Exception as error:  # of whatever type the storage's library has
        raise Outage("storage_unavailable", error) from error
    if not isinstance(subject.photo, PostPhoto):  # a host's photo did not come through our intake
        try:
            content = clean_bytes(content).jpeg
        except IntakeError as error:
            raise PhotoError(str(error)) from error
        except DecodersUnavailable as error:
            raise Outage(error.code, error) from error
    return model.preprocessing(load_photo(BytesIO(content)))


def failure_of(decoding: Future[Tensor]) -> BaseException | None:
    """Waits until a photo is decoded; why it is not, if so."""
    match decoding.exception():
        case None:
            return None
        case FileNotFoundError():
            return PermanentFailure("photo_missing")
        case PhotoError():
            return PermanentFailure("photo_unreadable")
        case failure:
            return failure
