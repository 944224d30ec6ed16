"""Reasons to refuse a photo. Each has a stable code and a text that says what to do."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..errors import SocialSongsError

NAME_CHARACTERS = 80


class IntakeError(SocialSongsError):
    """The photo was refused; nothing was stored.

    ``place`` (from 1, out of ``among``) and ``name``, the client's file name, say which photo of the upload it is.
    """

    place: int | None = None
    name = ""
    among = 1

    def locate(self, *, place: int, name: str, among: int) -> None:
        """Set which photo this is about. Removes unprintable characters from the name."""
        self.place, self.among = place, among
        self.name = "".join(character for character in name if character.isprintable())[:NAME_CHARACTERS]

    def __str__(self) -> str:
        text = super().__str__()
        if self.among == 1:
            return text
        values = {"number": self.place, "name": self.name, "problem": text}
        return (
            _("Photo %(number)s (%(name)s): %(problem)s") if self.name else _("Photo %(number)s: %(problem)s")
        ) % values

    @property
    def extra(self) -> dict[str, object]:
        return {} if self.place is None else {"photo": {"place": self.place, "name": self.name}}


class EmptyFile(IntakeError):
    code = "empty_file"


class FileTooLarge(IntakeError):
    code = "file_too_large"


class NotAPhoto(IntakeError):
    code = "not_a_photo"


class TooManyPixels(IntakeError):
    code = "too_many_pixels"


class TooSmall(IntakeError):
    code = "too_small"


class TooManyFrames(IntakeError):
    code = "too_many_frames"


class DamagedPhoto(IntakeError):
    code = "damaged_photo"


class TooManyParts(IntakeError):
    """The file has more segments, chunks, items or scans than any camera or program writes."""

    code = "too_many_parts"


class TooMuchMemory(IntakeError):
    """The photo has few enough pixels, but this kind of file needs too much memory for each."""

    code = "too_much_memory"


class TookTooLong(IntakeError):
    code = "took_too_long"


class Undecodable(IntakeError):
    """The decoder crashed on the photo."""

    code = "undecodable"
