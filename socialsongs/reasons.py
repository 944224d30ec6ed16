"""Why a post has no suggestions, in words for its poster: what happened and what to do."""

TEXTS = {
    "photo_unreadable": "The photo could not be read. Upload it again, or try another one.",
    "photo_missing": "The stored photo is gone. Upload it again.",
    "attempts_exhausted": "Something on our side failed several times. Your photo is safe: try again in a while.",
}


def text_of(reason: str) -> str:
    return TEXTS.get(reason, "Something went wrong. Your photo is safe: try again in a while.")
