"""Read and decode stored photos on threads, as input of the network."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from io import BytesIO

from torch import Tensor

from recommender.images import PhotoError, load_photo
from recommender.model import Image2Song
from socialsongs.errors import DecodersUnavailable
from socialsongs.intake import IntakeError
from socialsongs.models import PhotoSubject, PostPhoto
from socialsongs.services.photo_files import clean_attached

from ..failures import Outage, PermanentFailure

DECODING_THREADS = 4


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decoder")


def decode(model: Image2Song, subject: PhotoSubject) -> Future[Tensor]:
    """Start to decode a stored photo on a thread, to the pixels that the network takes, (3, S, S)."""
    _ = subject.photo  # reads the row now: a query on the thread would open a database connection of its own
    return _threads().submit(_decode, model, subject)


def _decode(model: Image2Song, subject: PhotoSubject) -> Tensor:
    try:
        if isinstance(subject.photo, PostPhoto):
            with subject.open() as file:
                content = file.read()
        else:
            content = clean_attached(subject=subject)
    except FileNotFoundError:
        raise
    except IntakeError as error:
        raise PhotoError(str(error)) from error
    except DecodersUnavailable as error:
        raise Outage(error.code, error) from error
    except Exception as error:  # storage libraries have exceptions of their own
        raise Outage("storage_unavailable", error) from error
    return model.preprocessing(load_photo(BytesIO(content)))


def failure_of(decoding: Future[Tensor]) -> BaseException | None:
    """Wait until a photo is decoded; return None, or the exception that says why it could not be."""
    match decoding.exception():
        case None:
            return None
        case FileNotFoundError():
            return PermanentFailure("photo_missing")
        case PhotoError():
            return PermanentFailure("photo_unreadable")
        case failure:
            return failure
