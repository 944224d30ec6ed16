"""Why a photo was refused. Each kind has a stable code, and its text says what to do."""

from __future__ import annotations

from ..errors import SocialSongsError

NAME_CHARACTERS = 80


class IntakeError(SocialSongsError):
    """The photo was refused; nothing was stored.

    ``place``, from 1, and the client's ``name`` for the file say which photo of how many.
    """

    place: int | None = None
    name = ""
    among = 1

    def locate(self, *, place: int, name: str, among: int) -> None:
        """Say which photo this is about. What cannot be printed is left out of the name."""
        self.place, self.among = place, among
        self.name = "".join(character for character in name if character.isprintable())[:NAME_CHARACTERS]

    def __str__(self) -> str:
        text = super().__str__()
        if self.among == 1:
            return text
        return f"Photo {self.place}{f' ({self.name})' if self.name else ''}: {text}"

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
    """Segments, chunks, items or scans: more than any camera or program writes."""

    code = "too_many_parts"


class TooMuchMemory(IntakeError):
    """Few enough pixels, but this kind of file needs more memory for each."""

    code = "too_much_memory"


class TookTooLong(IntakeError):
    code = "took_too_long"


class Undecodable(IntakeError):
    """The process that decoded it ended."""

    code = "undecodable"
