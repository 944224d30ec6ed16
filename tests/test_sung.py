"""Which parts of a lyric are sung."""

import pytest

from socialsongs.services.lyrics import normalised
from socialsongs.sung import sung_part

NOT_SUNG = [
    "[Chorus]", "[Verse 2: The Ferry Hands & Guest]", "[Guitar Solo]", "[x2]", "[oh]", "【副歌】", "［Chorus］",
    "{Bridge}", "Chorus", "CHORUS:", "Refrain:", "Pre-Chorus", "Verse 1", "Verse II:", "verse two", "Bridge",
    "Repeat Chorus", "Chorus x2", "Chorus (2x)", "(Chorus)", "(x2)", "(Repeat)", "(2x)", "(Instrumental break)",
    "**Chorus**", "--- Bridge ---", "# Intro", "Estribillo:", "Refrão", "Припев:", "副歌", "Hook:", "Hook 2",
    "(Hook)", "Solo:", "Outro (fade out)", "Interlude", "Verse 1: Ferry Hands", "Lyricist: A. Nobody",
    "Composer：B. Nobody", "Lyrics by A. Nobody", "lyrics by: a. nobody", "Words and music by A. Nobody",
    "Written by Anna Nobody", "Written and produced by a. nobody", "Produced by: Anna", "作词：某人", "作曲 : 某人",
    "词/曲：某人", "編曲：某人", "작사: 아무개", "Text: Anna", "Musik und Text: Anna", "Letra y música: Ana",
    "Paroles: Anne", "Слова: Анна", "ti: Harbour", "ar:Ferry", "by: somebody", "Copyright 2001 Ferry Records",
    "© Ferry", "All rights reserved.", "www.lyrics.example", "https://lyrics.example/1", "12 Contributors",
    "You might also like", "******* This Lyrics is NOT for Commercial use *******", "Title: Harbour",
    "[ar:Somebody]", "Lyrics Anna Nobody", "Composer - Anna", "All songs by Anna Nobody", "作词 某人",
    "Translated by Anna Nobody", "All lyrics written by Anna & Bo", "", "  ",
]  # fmt: skip
SUNG = [
    "Over the sea", "Written by the moon", "Music by the river", "All by myself", "Bridge over the river", "Solo",
    "Hook", "Drop", "Part of me", "The verse I wrote for you", "Chorus of angels", "(ooh yeah)", "Song for you",
    "I <3 you & me", "rock 'n' roll", "And he said: go", "R&B", "曲がり角", "歌を歌う", "I'm 1 x away",
    "Text me when you're home", "Title fight", "By the sea", "Copyright on my heart", "Intro to love",
    "- and so it goes", "Sync or swim", "Lyrics on a wall",
    "Lyrics I wrote on the wall", "Composer I am not", "Written by I don't know who", "All songs by the fire",
    "Translated by the wind", "End of the road", "Repeat after me",
]  # fmt: skip
IN_PART = {
    "Over the sea (x2)": "Over the sea",
    "Over the sea x3": "Over the sea",
    "Over the sea [2x]": "Over the sea",
    "Over the sea (repeat)": "Over the sea",
    "[Chorus] Over the sea": "Over the sea",
    "[Anna:] Over the sea": "Over the sea",
    "Refrain: Over the wide, wide sea": "Over the wide, wide sea",
    "(Chorus) Over the sea (x2)": "Over the sea",
    "Over the sea (oh yeah)": "Over the sea (oh yeah)",
    "Salt &amp; tar": "Salt & tar",
    "<i>Over</i> the sea": "Over the sea",
    "[00:10.00]Over the sea": "Over the sea",
}


@pytest.mark.parametrize("line", NOT_SUNG)
def test_what_is_written_beside_the_words_is_not_sung(line):
    assert sung_part(line) == ""


@pytest.mark.parametrize("line", SUNG)
def test_words_are_sung(line):
    assert sung_part(line) == line


@pytest.mark.parametrize(("line", "sung"), IN_PART.items())
def test_a_line_may_be_sung_in_part(line, sung):
    assert sung_part(line) == sung
    assert sung_part(sung) == sung


@pytest.mark.parametrize(
    ("lyrics", "kept"),
    [
        ("[Verse 1]\nThe tide\n[Chorus]\nThe gulls (x2)\n\n[Outro]", "The tide\n\nThe gulls"),
        ("The tide<br>the gulls<br/>\nthe masts", "The tide\nthe gulls\nthe masts"),
        ("<p>The tide</p><p>the gulls</p>", "The tide\n\nthe gulls"),
        ("&lt;b&gt;The tide&lt;/b&gt; &amp;amp; the gulls&nbsp;go", "The tide & the gulls go"),
        ("Turnin&#39; &#x2019;round &copy me", "Turnin' \u2019round &copy me"),
        ("Lyrics by: A\nMusic by: B\n\nThe tide", "The tide"),
        ("\ufeffThe tide", "The tide"),
        ("[Instrumental]", ""),
    ],
)
def test_lyrics_are_kept_as_they_are_sung(lyrics, kept):
    assert normalised(lyrics=lyrics, synced_lyrics="") == (kept, "")
    assert normalised(lyrics=kept, synced_lyrics="") == (kept, "")


def test_synced_lyrics_in_the_wrong_field_are_both():
    text = "[ar:Ferry]\n[00:05.00]The tide\n[00:09.00]the gulls"
    assert normalised(lyrics=text, synced_lyrics="") == ("The tide\nthe gulls", text)
    assert normalised(lyrics=text, synced_lyrics="[00:01.00]Else") == ("The tide\nthe gulls", "[00:01.00]Else")


def test_plain_lyrics_in_the_wrong_field_are_plain():
    assert normalised(lyrics="", synced_lyrics="The tide\nthe gulls") == ("The tide\nthe gulls", "")
    assert normalised(lyrics="The tide", synced_lyrics="the gulls") == ("The tide", "the gulls")


def test_stamps_here_and_there_are_no_words():
    assert normalised(lyrics="[0:45]The tide\nthe gulls\nthe masts", synced_lyrics="") == (
        "The tide\nthe gulls\nthe masts",
        "",
    )


def test_credits_among_synced_lyrics_are_no_lines():
    text = "[00:00.00]Lyricist: A\n[00:01.00]作曲：B\n[00:05.00]The tide"
    assert normalised(lyrics="", synced_lyrics=text) == ("The tide", text)
