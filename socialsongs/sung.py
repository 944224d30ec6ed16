"""Separates what is sung in lyrics from what is only written beside it: markup, section marks, credits.

``sung_part("[Chorus] Over the sea (x2)")`` is "Over the sea", ``sung_part("Lyrics by: A. Nobody")`` is "". A doubtful
line counts as sung, unless nobody would sing it: "Written by the moon" is sung, "Written by Anna Nobody" is not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html import unescape

# HTML

BREAK = re.compile(r"<\s*(?:br|/?p|/?div|/?li|hr)\b[^<>]*>(?:\n(?!\n))?", re.IGNORECASE)
TAG = re.compile(
    r"</?(?:a|abbr|b|body|center|em|font|h[1-6]|html|i|small|span|strong|sub|sup|u|ul|ol)\b[^<>]*>", re.IGNORECASE
)
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});", re.IGNORECASE)


def without_markup(text: str) -> str:
    """Return HTML as the text that it shows, also when the markup was escaped twice."""
    for _ in range(2):
        if "<" in text:
            text = TAG.sub("", BREAK.sub("\n", text))
        if "&" in text:
            text = ENTITY.sub(lambda entity: unescape(entity[0]).replace("\u00a0", " "), text)
    return text


# Section marks

# A line that consists of one of these is a mark, with or without brackets.
SECTION = (
    r"(?:pre|post)[- ]?chorus|chorus|verse|refrain|intro(?:duction)?|outro|interlude|instrumental(?: break)?|bridge|"
    r"(?:guitar|piano|sax(?:ophone)?|drum|bass|organ|violin|harmonica) (?:solo|break)|solo (?:guitar|piano)|"
    r"(?:musical|instrumental) (?:interlude|bridge)|spoken(?: word)?|estribillo|estrofa|refr[aã]o|refren|"
    r"ritornello|strofa|zwrotka|omkv[äa]de|nakarat|припев|куплет|副歌|主歌|前奏|間奏|间奏|尾奏|后奏|導歌|导歌|サビ|[ABCD]メロ|"
    r"후렴|간주"
)
# These are marks only with brackets, a colon or a number; alone they can be a sung word.
MAYBE = (
    r"hook|solo|drop|break(?:down)?|coda|tag|vamp|rap|coro|pont|ponte|puente|couplet|strophe|verso|stanza|part|teil|end"
)
NUMBER = r"(?:\s*[-#.]?\s*(?:\d{1,2}|[ivx]{1,4}|one|two|three|four|[a-d]))"
TIMES = (
    r"(?:[x×]\s*\d{1,2}|\d{1,2}\s*[x×]|\d{1,2}\s+times|twice|bis|ter|da capo|d\.c\.|"
    r"repeat(?:s|ed)?(?:\s*[x×]?\s*\d{0,2})?(?:\s*times)?)"
)
WHICH = r"(?:(?:repeat|final|last|first|second|third|short|double)\s+)?"
FORMS = re.IGNORECASE
MARK = re.compile(rf"{WHICH}(?:{SECTION})(?:{NUMBER})?(?:\s*[\[(（]?\s*{TIMES}\s*[)\]）]?)?\s*[:：.]*", FORMS)
BRACKETED = re.compile(
    rf"(?:{WHICH}(?:{SECTION}|{MAYBE})(?:{NUMBER})?(?:\s*[,(]?\s*{TIMES}\)?)?(?:\s*[:：\-–—].*)?|{TIMES}"
    r"|instrumental\b.*|spoken\b.*|music|applause|laugh(?:s|ing|ter)|cheer(?:s|ing)|fade(?:s)?(?: out)?)\s*[:：.]*",
    FORMS,
)
WITH_NUMBER = re.compile(rf"{WHICH}(?:{SECTION}|{MAYBE})(?:{NUMBER}\s*[:：.]*|\s*[:：]+)", FORMS)
MARK_AND_WORDS = re.compile(rf"{WHICH}(?:{SECTION}|{MAYBE})(?:{NUMBER})?\s*[:：]\s*(\S.*)", FORMS)
REMARK = re.compile(r"(?:[\[［【〔{｛][^\[\]［］【】〔〕{}｛｝]*[\]］】〕}｝][\s:：]*)+")
ASIDE = re.compile(r"[(（\[［【]([^()（）\[\]［］【】]*)[)）\]］】]")
REPEATED = re.compile(r" (?:[x×]\s?\d{1,2}|\d{1,2}\s?[x×])\s*[.!]?$", FORMS)
DECORATION = " \t*#~=_-–—•|>"
SHORTEST_SUNG = 4  # words after a mark and its colon; fewer are the names of the singers

# Credits

ROLE = (
    r"lyricists?|composers?|songwriters?|writers?|authors?|arrangers?|producers?|lyrics?|words|music|text|arrangement|composition|"
    r"written|composed|arranged|produced|co-produced|performed|recorded|mixed|mastered|mixing|mastering|engineers?|engineered|"
    r"vocals?|singers?|sung|artists?|performers?|title|album|song|track|publishers?|published|label|copyright|translat(?:ed|ion|or)|"
    r"transcribed|sync(?:ed|hroni[sz]ed)?|subtitles?|lrc|created|edited|guitars?|bass|drums|piano|keyboards?|strings|"
    r"(?:executive |co-?|vocal )producers?|background vocals?|backing vocals?|"
    r"musik|worte|komponist(?:in)?|texter(?:in)?|interpret(?:in)?|letra|m[úu]sica|autor(?:es|a)?|compositor(?:es|a)?|int[ée]rprete|"
    r"paroles|musique|auteurs?|compositeurs?|interpr[èe]te|testo|musica|autore|compositore|s[łl]owa|muzyka|слова|музыка|автор|"
    r"исполнитель|текст|作[词詞曲]者?|[编編]曲|填[词詞]|[词詞]|曲|演唱|原唱|歌手|制作人|製作人|[监監][制製]|混音|[录錄]音|和[声聲]|母[带帶]|吉他|[贝貝]斯|"
    r"鼓|[钢鋼]琴|歌|作사|작사|작곡|편곡|노래|lời|nhạc"
)
CREDITED = r"(?:lyricist|composer|songwriter|producer|arranger|lyrics)"  # also credits when only a name follows
AND = r"\s*(?:[&,/+·、／]|and|und|et|y|e|и)\s*"
CREDIT = re.compile(
    rf"(?:(?:{ROLE})(?:{AND}(?:{ROLE}))*(?:\s+(?:by|von|de|di|par))?\s*[:：].*"
    r"|(?:ti|ar|al|au|by|re|ve|offset|length)\s*[:：].*"
    r"|(?:作[词詞曲]|[编編]曲|작사|작곡|편곡)\s+\S.*"
    rf"|(?:{CREDITED}|作[词詞曲]|[编編]曲|작사|작곡|편곡)\s*[-–—]\s*(?=\S)(?-i:[A-Z\u0080-\U0010ffff].*)"
    r"|(?:lyrics|lrc|subtitles?)\s+(?:provided\s+|made\s+)?by\s+\S.*"
    rf"|(?:{ROLE})(?:{AND}(?:{ROLE}))+\s+by\s+\S.*"
    r"|(?:©|℗|\(c\)\s*\d{4}|copyright\b.*\d{4}|.*\ball rights reserved).*"
    r"|(?:https?://|www\.)\S+"
    r"|\d+ contributors?\b.*|\d*embed|you might also like"
    r"|\**\s*this lyrics is not for commercial use\s*\**)",
    FORMS,
)
BY = re.compile(
    rf"(?:(?:(?:all\s+(?:lyrics|music|songs)\s+)?(?:{ROLE})|all\s+(?:lyrics|music|songs))\s+(?:by|von|de|di|par)|{CREDITED})"
    r"\s+(?P<names>\S.*)",
    FORMS,
)
ONESELF = re.compile(r"I(?:['’].*)?")
SMALL = {
    "and",
    "und",
    "et",
    "y",
    "e",
    "the",
    "de",
    "da",
    "di",
    "van",
    "von",
    "der",
    "den",
    "of",
    "feat.",
    "ft.",
    "&",
    "la",
    "le",
}

# A line that contains none of these and does not begin like a mark is sung as it is.
MARKED = re.compile(r"[\[\](){}［］（）｛｝【】〔〕*#~=|:：©℗×<>•]|[xX]\s?\d|\d\s?[xX]|www\.|^\W*[-–—]")
BEGINNING = re.compile(
    rf"{WHICH}(?:{SECTION}|{MAYBE}|{ROLE}|all\b|copyright|http|\d+ ?contributors?|\d*embed|you might)", FORMS
)


@lru_cache(10_000)  # ranking needs the lines of the same songs many times
def sung_part(line: str) -> str:
    """Return the sung part of a line; "" when nothing of it is sung, or when markup splits it into several lines."""
    line = without_markup(line.strip()).strip()
    if "\n" in line:
        return ""
    if not MARKED.search(line) and not BEGINNING.match(line):
        return line
    whole = " ".join(line.split())
    bare = whole.strip(DECORATION)
    if CREDIT.fullmatch(bare) or _names_somebody(bare):
        return ""
    if REMARK.fullmatch(bare) or MARK.fullmatch(bare) or WITH_NUMBER.fullmatch(bare):
        return ""
    if bare != whole and BRACKETED.fullmatch(bare):
        return ""
    sung = whole
    if marked := MARK_AND_WORDS.fullmatch(bare):
        sung = marked[1]
        if len(sung.split()) < SHORTEST_SUNG and not _unspaced(sung):
            return ""
    elif begin := REMARK.match(sung):
        sung = sung[begin.end() :]
    sung = ASIDE.sub(lambda aside: "" if BRACKETED.fullmatch(aside[1].strip()) else aside[0], sung)
    sung = REPEATED.sub("", sung)
    if sung == whole:
        return line
    sung = " ".join(sung.split()).strip(DECORATION)
    return "" if MARK.fullmatch(sung) else sung


def _names_somebody(text: str) -> bool:
    """Return whether a role ("written by") and names follow: capitalised words, or scripts without capitals."""
    credit = BY.fullmatch(text)
    if not credit:
        return False
    names = [name for name in re.split(r"[\s,/]+", credit["names"]) if name and name.lower() not in SMALL]
    return bool(names) and not any(name[0].islower() or ONESELF.fullmatch(name) for name in names)


def _unspaced(text: str) -> bool:
    """Return whether the text is in a script without spaces and longer than a name."""
    return len(text) > 5 and unicodedata.category(text[0]) == "Lo"


class _LettersAndDigits(dict[int, int | None]):
    """A table for ``str.translate`` that keeps only letters, marks and digits."""

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else None
        return self[code]


_LETTERS_AND_DIGITS = _LettersAndDigits()


def comparison_key(line: str) -> str:
    """Return a key that is equal for two spellings of a line: NFKC, without case, punctuation and spaces."""
    return unicodedata.normalize("NFKC", line).casefold().translate(_LETTERS_AND_DIGITS)
