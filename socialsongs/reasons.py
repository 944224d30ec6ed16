"""Texts for people that say why there are no suggestions, or few: what happened and what to do."""

from django.utils.translation import gettext_lazy as _

FAILURES = {
    "photo_unreadable": _("The photo could not be read. Upload it again, or try another one."),
    "photo_missing": _("The stored photo is gone. Upload it again."),
    "storage_unavailable": _("We could not reach the storage of photos for a long time. Try again in a while."),
    "decoders_unavailable": _("We could not process photos for a long time. Your photo is safe: try again in a while."),
    "out_of_memory": _("Our machines were overloaded for a long time. Your photo is safe: try again in a while."),
    "attempts_exhausted": _("Something on our side failed several times. Your photo is safe: try again in a while."),
    "text_empty": _("Your text has no words that we could use. Say in a few words what the song should be like."),
}

NOTICES = {
    "not_encoded": _("Songs that match are still being prepared. Ask again in a few minutes."),
    "no_songs": _(
        "No song matches what you asked for. Ask for less: leave out the genre, the language or the "
        "market, exclude fewer songs, or allow explicit ones."
    ),
    "fewer_songs": _(
        "Fewer songs match than you asked for. For more, leave out the genre, the language or the market, "
        "exclude fewer songs, or allow explicit ones."
    ),
    "blocked": _(
        "Songs match what you asked for, but this site does not offer any of them. Ask for another genre, "
        "language or market."
    ),
    "text_unused": _(
        "No word of your text has an effect here, so these are the songs without it. Try other words: a theme, a mood, "
        "a genre, a language or an artist."
    ),
}

# For lists of the admin: reasons of posts, requests and embeddings.
SHORT = {
    "attempts_exhausted": _("attempts exhausted"),
    "decoders_unavailable": _("decoders unavailable"),
    "no_lyrics": _("no lyrics"),
    "out_of_memory": _("out of memory"),
    "photo_missing": _("photo missing"),
    "photo_unreadable": _("photo unreadable"),
    "storage_unavailable": _("storage unavailable"),
    "text_empty": _("text empty"),
    "unsupported_language": _("unsupported language"),
}


def short_text(reason: str) -> str:
    """Return the reason of a row in two or three words; empty without one."""
    return str(SHORT.get(reason, reason.replace("_", " ")))


def failure_text(reason: str) -> str:
    """Return the text for the reason of a failed row."""
    return str(FAILURES.get(reason, _("Something went wrong. Your photo is safe: try again in a while.")))


def describe_notice(code: str) -> dict[str, str] | None:
    """Return the notice for a code as code and text; None without a code."""
    return {"code": code, "detail": str(NOTICES.get(code, _("There are few songs to show here.")))} if code else None
