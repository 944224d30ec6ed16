"""Why a post has no suggestions, in words for its poster: what happened and what to do."""

TEXTS = {
    "photo_unreadable": "The photo could not be read. Upload it again, or try another one.",
    "photo_missing": "The stored photo is gone. Upload it again.",
    "storage_unavailable": "The photo could not be fetched from its storage for a long time. Try again in a while.",
    "out_of_memory": "Our machines had no room for your photo for a long time. It is safe: try again in a while.",
    "attempts_exhausted": "Something on our side failed several times. Your photo is safe: try again in a while.",
}


def text_of(reason: str) -> str:
    return TEXTS.get(reason, "Something went wrong. Your photo is safe: try again in a while.")
