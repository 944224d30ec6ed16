"""Errors of requests. Each has a stable code and a text for the person who sent the request."""

from __future__ import annotations

from collections.abc import Mapping


class SocialSongsError(Exception):
    """Base of all errors that a client can act on.

    Clients test ``code``, which never changes. ``str(error)`` says what was wrong and what to do; ``extra`` holds
    further fields for programs. ``retry_after``: seconds after which the same request may succeed.
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
    """Too many photos of this person still wait to be analysed."""

    code = "too_many_waiting"
    retry_after = 10


class IdempotencyConflict(SocialSongsError):
    """The key was used before with another body."""

    code = "idempotency_conflict"


class StillRunning(SocialSongsError):
    """An earlier request with the same idempotency key is not finished."""

    code = "still_running"
    retry_after = 2


class AttachedPost(SocialSongsError):
    """The post belongs to a photo of the host, and is deleted only with it."""

    code = "attached_post"


class NotRetryable(SocialSongsError):
    """The post has not failed; only a failed post can be tried again."""

    code = "not_retryable"


class BadWebhookUrl(SocialSongsError):
    """Webhooks cannot be sent to this address."""

    code = "bad_webhook_url"


class EndpointDisabled(SocialSongsError):
    """The endpoint gets no webhooks."""

    code = "endpoint_disabled"


class TooManyEndpoints(SocialSongsError):
    """The API client has as many endpoints of webhooks as it may have."""

    code = "too_many_endpoints"


class PostFailed(SocialSongsError):
    """The photos of the post could not be analysed, so no songs can be suggested for it."""

    code = "post_failed"


class TextRefused(SocialSongsError):
    """A request for a text alone has a text without words, or one that is too long."""

    code = "text_refused"


class UnknownPost(SocialSongsError):
    """The post was deleted while the request ran."""

    code = "unknown_post"


class UnknownRequest(SocialSongsError):
    """The request for songs was deleted while the call ran."""

    code = "unknown_request"


class UnknownSong(SocialSongsError):
    """No published song has this id."""

    code = "unknown_song"


class SourceTaken(SocialSongsError):
    """The source of songs is another API client's, or the site's."""

    code = "source_taken"


class NotSuggested(SocialSongsError):
    """The feedback is about a song that was not suggested for this post."""

    code = "not_suggested"


class NotEncoded(SocialSongsError):
    """The active release has not encoded the song."""

    code = "not_encoded"


class TasteNotOffered(SocialSongsError):
    """The site has not turned taste on for this person."""

    code = "taste_not_offered"


class CatalogueError(SocialSongsError):
    """The catalogue file cannot be imported; the text says why."""

    code = "catalogue_error"


class BadLine(CatalogueError):
    """A line of a catalogue file is not a valid song; ``field`` is empty when the whole line is wrong.

    ``errors`` are those of each field.
    """

    code = "bad_line"

    def __init__(
        self, line: int, field: str, reason: str, *, title: str = "", errors: Mapping[str, list[str]] | None = None
    ) -> None:
        self.line, self.field, self.reason = line, field, reason
        self.errors = errors or {field or "non_field_errors": [reason]}
        named = f" ({title!r})" if title else ""
        super().__init__(f"Line {line}{named}{':' if field else ''} {reason}")


class BodyRefused(SocialSongsError):
    """The request is refused by its headers, before its body is read."""


class BodyTooLarge(BodyRefused):
    """The request has more bytes than this address accepts."""

    code = "body_too_large"


class LengthRequired(BodyRefused):
    """The length of the body is unknown, for example because it is chunked."""

    code = "length_required"


class UnknownBodyEncoding(BodyRefused):
    """The body is compressed, or in a charset that is not accepted."""

    code = "unsupported_encoding"


class TooManyFields(SocialSongsError):
    code = "too_many_fields"


class UnreadableBody(SocialSongsError):
    """The body does not match its content type, or is incomplete."""

    code = "parse_error"


class Unavailable(SocialSongsError):
    """The database is away, overloaded or read-only at the moment."""

    code = "unavailable"
    retry_after = 5


class DecodersUnavailable(Unavailable):
    """The decoders do not start, or are all busy; the photo itself may be fine."""

    code = "decoders_unavailable"


class InvalidKey(SocialSongsError):
    """No API key has this text."""

    code = "invalid_key"


class KeyRevoked(InvalidKey):
    code = "key_revoked"


class KeyExpired(InvalidKey):
    code = "key_expired"


class ClientInactive(InvalidKey):
    """The API client of the key is turned off."""

    code = "client_inactive"


class InvalidExternalId(SocialSongsError):
    """An API client's id of a person is too long, or has characters that cannot be seen."""

    code = "invalid_external_id"


class UserNeeded(SocialSongsError):
    """The operation is about a person, but the request with an API key names none."""

    code = "user_needed"


class UnknownUser(SocialSongsError):
    """The API client has nobody with this id."""

    code = "unknown_user"


class UserInactive(SocialSongsError):
    """The account of the person is turned off."""

    code = "user_inactive"


class KeyNeeded(SocialSongsError):
    """The request says for whom it is, or asks about its key, but has no API key."""

    code = "key_needed"
