"""What can be wrong with a request. Each error has a stable code and a text for the person who asked."""

from __future__ import annotations


class SocialSongsError(Exception):
    """Base of all errors that a caller can do something about.

    ``code`` never changes and is what clients test; ``str(error)`` says what was wrong and what to do, ``extra`` more
    for programs. ``retry_after``: seconds after which the same may work.
    """

    code = "error"
    retry_after: int | None = None

    @property
    def extra(self) -> dict[str, object]:
        return {}


class NoPhoto(SocialSongsError):
    code = "no_photo"


class TooManyPhotos(SocialSongsError):
    code = "too_many_photos"


class TooManyWaiting(SocialSongsError):
    """Photos of this person that are still being looked at."""

    code = "too_many_waiting"
    retry_after = 10


class IdempotencyConflict(SocialSongsError):
    """The key was used before with another body."""

    code = "idempotency_conflict"


class NotRetryable(SocialSongsError):
    """Only a failed post can be tried again."""

    code = "not_retryable"


class PostFailed(SocialSongsError):
    """Nothing can be suggested for a post whose photos could not be looked at."""

    code = "post_failed"


class UnknownPost(SocialSongsError):
    """The post was deleted at this moment."""

    code = "unknown_post"


class UnknownSong(SocialSongsError):
    """No published song has this id."""

    code = "unknown_song"


class NotSuggested(SocialSongsError):
    """Feedback about a song that was not suggested for this post."""

    code = "not_suggested"


class NotEncoded(SocialSongsError):
    """No release in use has read the song's lyrics."""

    code = "not_encoded"


class TasteNotOffered(SocialSongsError):
    """The site has not turned taste on for this person."""

    code = "taste_not_offered"


class CatalogueError(SocialSongsError):
    """A catalogue file that cannot be imported; the text says why."""

    code = "catalogue_error"


class BadLine(CatalogueError):
    """A line of a catalogue file that is no song; ``field`` is empty where the whole line is wrong."""

    code = "bad_line"

    def __init__(self, line: int, field: str, reason: str, *, title: str = "") -> None:
        self.line, self.field, self.reason = line, field, reason
        named = f" ({title!r})" if title else ""
        super().__init__(f"Line {line}{named}{':' if field else ''} {reason}")


class BodyRefused(SocialSongsError):
    """By what the request's head says of its body."""


class BodyTooLarge(BodyRefused):
    """The request holds more bytes than are read for this address."""

    code = "body_too_large"


class LengthRequired(BodyRefused):
    """A body of unknown length, such as one in chunks."""

    code = "length_required"


class UnknownBodyEncoding(BodyRefused):
    """A compressed body, or one in a charset that is not read."""

    code = "unsupported_encoding"


class TooManyFields(SocialSongsError):
    code = "too_many_fields"


class UnreadableBody(SocialSongsError):
    """The body is not what its type says, or broke off."""

    code = "parse_error"


class Unavailable(SocialSongsError):
    """The database is away or takes no changes for the time being."""

    code = "unavailable"
    retry_after = 5


class DecodersUnavailable(Unavailable):
    """The processes that decode photos do not start, or are all busy; the photo itself may be a good one."""

    code = "decoders_unavailable"
