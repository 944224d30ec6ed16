"""The files of a release, as far as they can be checked without torch: its card, and the SHA-256 of its weights.

releases/<name>/model.safetensors    the weights (``recommender.release`` loads and saves them)
releases/<name>/card.json            name, sha256, architecture, preprocessing, tags, how it was trained, figures
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

RELEASES = Path(__file__).parent / "releases"
DEFAULT = "starter"
WEIGHTS, CARD = "model.safetensors", "card.json"
REQUIRED = ("name", "sha256", "architecture", "preprocessing", "confidence", "tags")


class ReleaseError(Exception):
    """The release is missing, incomplete, or does not match its card."""


def shipped_releases(folder: Path | None = None) -> list[str]:
    """Return the names of the releases in a folder (None: the folder of this package)."""
    root = folder or RELEASES
    return sorted(path.parent.name for path in root.glob(f"*/{CARD}"))


def read_card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the card of a release. Raises ReleaseError."""
    path = (folder or RELEASES) / name / CARD
    try:
        card: Any = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        known = ", ".join(shipped_releases(folder)) or "none"
        raise ReleaseError(f"There is no release {name!r} (no file {path}); known releases: {known}.") from None
    except ValueError as error:
        raise ReleaseError(f"{path} is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise ReleaseError(f"{path} is not a JSON object.")
    missing = [key for key in REQUIRED if key not in card]
    if missing:
        raise ReleaseError(f"{path} lacks {', '.join(missing)}.")
    return card


def check_weights(name: str, card: dict[str, Any], folder: Path | None = None) -> Path:
    """Return the file of the weights if it is the card's. Raises ReleaseError."""
    path = (folder or RELEASES) / name / WEIGHTS
    if not path.is_file():
        raise ReleaseError(f"Release {name!r} has no weights: {path} is missing.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != card["sha256"]:
        raise ReleaseError(
            f"{path} has SHA-256 {digest[:12]}, its card says {card['sha256'][:12]}: the file is damaged or not the "
            "card's. Restore the release folder."
        )
    return path
