"""Songs for photo posts, as a Django app. The names below are for a host's own code; see docs/getting-started.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attached.interface import (
        SuggestedSongs,
        choose,
        chosen_song,
        feedback,
        photos_for,
        post_of,
        show_hidden,
        songs_for_text,
        suggest_for,
        suggestions,
        tags,
        unchoose,
    )
    from .attached.registry import attach

__version__ = "0.1.0"

__all__ = [
    "SuggestedSongs",
    "attach",
    "choose",
    "chosen_song",
    "feedback",
    "photos_for",
    "post_of",
    "show_hidden",
    "songs_for_text",
    "suggest_for",
    "suggestions",
    "tags",
    "unchoose",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: models can be imported only after Django has started."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "registry" if name == "attach" else "interface"
    return getattr(import_module(f".attached.{module}", __name__), name)
