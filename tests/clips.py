"""Short made clips, for tests that need a preview."""

import io
import wave
from typing import Any

from django.core.files.base import ContentFile


def keep(song: Any, name: str, content: bytes) -> None:
    """Store a song's preview whatever its content, as versions did that did not check it."""
    file = song.preview_file
    file.name = file.storage.save(f"previews/{name}", ContentFile(content))
    type(song).objects.filter(pk=song.pk).update(preview_file=file.name)


def wav(seconds: float = 0.2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(8000)
        clip.writeframes(b"\0\0" * int(8000 * seconds))
    return file.getvalue()


def mp3(frames: int = 20) -> bytes:
    """Silence: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, frames of 417 bytes."""
    return (b"\xff\xfb\x90\xc4" + bytes(413)) * frames


def flac() -> bytes:
    """Return the STREAMINFO block alone: 44.1 kHz, one channel, 16 bits, one second."""
    described = (44_100 << 44 | 0 << 41 | 15 << 36 | 44_100).to_bytes(8, "big")
    return b"fLaC" + bytes([0x80, 0, 0, 34]) + bytes([16, 0, 16, 0]) + bytes(6) + described + bytes(16)
