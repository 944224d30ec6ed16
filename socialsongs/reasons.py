"""Why there are no suggestions, or few, in words for the person who asked: what happened and what to do."""

FAILURES = {
    "photo_unreadable": "The photo could not be read. Upload it again, or try another one.",
    "photo_missing": "The stored photo is gone. Upload it again.",
    "storage_unavailable": "The photo could not be fetched from its storage for a long time. Try again in a while.",
    "decoders_unavailable": "Our machines could not read photos for a long time. Yours is safe: try again in a while.",
    "out_of_memory": "Our machines had no room for your photo for a long time. It is safe: try again in a while.",
    "attempts_exhausted": "Something on our side failed several times. Your photo is safe: try again in a while.",
    "text_empty": "There was no word to go by in the text. Say in a few words what the song should be like.",
}

NOTICES = {
    "no_songs": "No song matches what you asked for. Ask for fewer things: leave out the genre, the language or the "
    "market, exclude fewer songs, or allow explicit ones.",
    "fewer_songs": "Fewer songs match than you asked for. For more, leave out the genre, the language or the market, "
    "exclude fewer songs, or allow explicit ones.",
    "blocked": "Songs match what you asked for, but this site shows none of them here. Ask for another genre, language "
    "or market.",
}


def failure_text(reason: str) -> str:
    return FAILURES.get(reason, "Something went wrong. Your photo is safe: try again in a while.")


def describe_notice(code: str) -> dict[str, str] | None:
    """What clients are told beside an answer; None without a code."""
    return {"code": code, "detail": NOTICES.get(code, "There are few songs to show here.")} if code else None
