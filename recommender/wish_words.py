"""Words of wishes that have a meaning of their own: small words, moods, kinds of music, decades, German words.

What a catalogue holds (its genres, artists, languages) is not here; see ``workers.suggesting.wish_fields``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

# Words that say nothing about a song.
SMALL_WORDS = """
    a ab aber about actually again all alle allem alles als also am an and andere anderes anders any anything are as
    at auch auf aus be beat beats been bei bild bilder bin bisschen bist bit bitte bpm but by can could d da danke das
    dass dein deine dem den denn der des die dies diese diesem diesen dieser dieses dir do doch does doing don down du
    each ein eine einem einen einer eines einfach either else enough er es etwas euch ever every everything feel
    feeling feels find fit fits fitting for foto fotos from für gar geben gern gerne get gib gibt give go going good
    great gut gute guten guter gutes habe haben had has have having he her here his how i i'd i'm ich if ihr im in
    instead into irgendetwas irgendwas is ist it it's its ja jede jeder jedes just kann kind kinds können language let
    lied lieder liedern like likes little ll lot lots lyric lyrics m machen mag make makes making mal match matches
    matching may maybe me mehr mein meine meinem meinen meiner meines mich might mine mir mit mood more most much
    music musical musik musikstück my möchte möchten mögen nach need needs nein nice no noch nun nur ob oder of off oh
    ok okay on one ones only or other others our out over paar passend passende passendes passt per photo photos pic
    pics picture pictures play please post put quite rather re really richtig s say see sein seine she should show
    sich sie sind so soll sollen sollte some somebody someone something song songs sort sound sounds spiel spielen
    sprache stimmung stuff style styles stück stücke such suit surprise t take tell tempo text texte than thank thanks
    that that's the their them thema then there these they thing things this those titel to tone too track tracks tune
    tunes type um und uns up us use ve very vibe vibes viel viele vielen vom von vor want wants was way we well wenn
    wer were what when where which while who why wie wieder will wir wirklich with without wo wollen words would wäre
    wünsche x y yes yet you your yours zu zum zur über
"""
# Words that name a field when they stand alone, and something in a picture or a story elsewhere: "a house by the sea".
AMBIGUOUS_WORDS = """
    alternative blue classical clean club comedy cool country dance danish dark english fast finnish garage greek hot
    house kid kids kinder latin loud metal musical musicals novelty polish quiet rock slow soft soul standard swing
    thai warm wild world
"""
# Other names of genres, as the genres of a catalogue may be called: any genre with all of these words is meant.
GENRES: dict[str, tuple[str, ...]] = {
    "rap": ("rap", "hip hop", "grime", "trap"),
    "hip hop": ("hip hop", "rap", "grime", "trap"),
    "rnb": ("r b", "rnb"),
    "r n b": ("r b", "rnb"),
    "rhythm and blues": ("r b", "rnb"),
    "edm": ("electronic", "electro", "house", "techno", "edm"),
    "electro": ("electronic", "electro", "electropop"),
    "electronic": ("electronic", "electro", "electronica"),
    "elektronisch": ("electronic", "electro", "electronica"),
    "kids": ("children s", "kids"),
    "kid": ("children s", "kids"),
    "nursery": ("children s", "lullaby", "kids"),
    "kinder": ("children s", "kids"),
    "schlaf": ("lullaby",),
    "musical": ("musical", "musical theatre"),
    "musicals": ("musical", "musical theatre"),
    "volks": ("folk",),
    "klassik": ("classical",),
    "sea shanties": ("sea shanty", "shanty"),
    "shanty": ("sea shanty", "shanty"),
    "shanties": ("sea shanty", "shanty"),
    "lofi": ("lo fi",),
    "rock n roll": ("rock n roll", "rock and roll", "rock"),
    "rock and roll": ("rock and roll", "rock n roll", "rock"),
}
# Genres that others are kinds of, though a catalogue may have only the kinds.
BASIC_GENRES = """
    blues classical country dance disco electronic folk funk gospel house indie jazz latin metal pop punk rap reggae
    rock ska soul techno
"""
# Moods, each with English words that staff or people may use for it, and German ones.
MOODS: dict[str, str] = {
    "joyful": "joyful happy cheerful joy glad sunny positive feelgood happiness uplifting upbeat "
    "good-mood in-a-good-mood feel-good fröhlich glücklich heiter froh lustvoll beschwingt gute-laune gut-gelaunt",
    "calm": "calm relaxed relaxing chill chilled mellow peaceful quiet soothing gentle soft serene slow "
    "ruhig entspannt entspannend entspannen gelassen sanft leise friedlich langsam gemütlich",
    "melancholy": "melancholy melancholic sad gloomy blue bittersweet sorrowful mournful depressing sadness "
    "traurig melancholisch betrübt wehmütig trübe deprimierend",
    "energetic": "energetic upbeat lively driving fast loud powerful dynamic energy danceable "
    "energiegeladen schwungvoll lebhaft schnell laut kraftvoll mitreißend tanzbar",
    "romantic": "romantic tender loving romance sensual romantisch zärtlich verliebt",
    "nostalgic": "nostalgic nostalgia wistful sentimental nostalgisch sentimental",
    "playful": "playful cheeky silly quirky verspielt albern frech",
    "hopeful": "hopeful optimistic encouraging hoffnungsvoll zuversichtlich optimistisch",
    "funny": "funny humorous comic hilarious witty lustig witzig komisch",
    "dreamy": "dreamy ethereal hazy verträumt träumerisch",
    "cozy": "cozy cosy homely warm snug gemütlich heimelig warm",
    "grateful": "grateful thankful dankbar",
    "adventurous": "adventurous daring abenteuerlich abenteuerlustig",
    "lonely": "lonely lonesome einsam",
    "dark": "dark sinister gloomy brooding eerie düster dunkel finster",
    "angry": "angry furious aggressive mad rage wütend zornig aggressiv",
    "proud": "proud triumphant stolz",
    "mysterious": "mysterious enigmatic geheimnisvoll mysteriös",
    "solemn": "solemn serious earnest feierlich ernst",
    "tense": "tense nervous restless angespannt unruhig",
}
# Moods that go with words of other kinds: who refuses heartbreak does not want sad songs, either.
RELATED_MOODS: dict[str, str] = {
    "melancholy": "heartbreak heartbroken breakup goodbye goodbyes grief loss tears crying cry death dying "
    "funeral divorce",
    "romantic": "love kiss kisses kissing wedding couple valentine girlfriend boyfriend honeymoon",
    "energetic": "party dance dancing workout running gym",
    "calm": "sleep sleeping lullaby meditation",
    "lonely": "loneliness alone",
    "nostalgic": "childhood memories memory",
}
EXPLICIT = {
    True: "explicit swearing swears swear profanity cursing curses obscene schimpfwörter schimpfwort fluchen flüche "
    "anstößig",
    False: "clean jugendfrei kinderfreundlich familienfreundlich",
}
DECADES = {
    "fifties": 1950,
    "sixties": 1960,
    "seventies": 1970,
    "eighties": 1980,
    "nineties": 1990,
    "fünfziger": 1950,
    "sechziger": 1960,
    "siebziger": 1970,
    "achtziger": 1980,
    "neunziger": 1990,
    "zweitausender": 2000,
}
DECADE = re.compile(r"(?P<century>19|20)?(?P<decade>[0-9])0(?:'?s|er)")
YEAR = re.compile(r"19[2-9][0-9]|20[0-4][0-9]")

# German words for what songs are about, for a model that reads English.
GERMAN_WORDS = """
    abend=evening abschied=goodbye angst=fear apfel=apple arbeit=work auto=car autos=cars baby=baby bahnhof=station
    ball=ball baum=tree berg=mountain berge=mountains bett=bed bier=beer blume=flower blumen=flowers boot=boat
    brot=bread bruder=brother brücke=bridge buch=book bus=bus bäume=trees bücher=books café=cafe dorf=village
    ehe=marriage einsamkeit=loneliness eis=ice eltern=parents erinnerung=memory erinnerungen=memories essen=food
    fahrrad=bicycle familie=family feier=party feiern=celebrate fenster=window feuer=fire feuerwerk=fireworks
    fisch=fish flughafen=airport flugzeug=airplane fluss=river frau=woman freiheit=freedom freude=joy freund=friend
    freunde=friends freundin=girlfriend freundschaft=friendship frieden=peace frühling=spring frühstück=breakfast
    fußball=football garten=garden gebirge=mountains geburtstag=birthday geld=money gipfel=summit gitarre=guitar
    glück=happiness großeltern=grandparents großmutter=grandmother großvater=grandfather hafen=harbour haus=house
    heimat=home heimweh=homesickness herbst=autumn herz=heart herzschmerz=heartbreak himmel=sky hochzeit=wedding
    hoffnung=hope hund=dog hunde=dogs insel=island jugend=youth junge=boy kaffee=coffee katze=cat katzen=cats
    kerze=candle kerzen=candles kind=child kinder=children kindheit=childhood kirche=church klavier=piano kneipe=bar
    kuchen=cake kuss=kiss küche=kitchen lachen=laughing leben=life lehrer=teacher licht=light lichter=lights
    liebe=love liebeskummer=heartbreak mann=man markt=market meer=sea meeres=sea mond=moon morgen=morning
    motorrad=motorcycle mutter=mother mädchen=girl nacht=night nebel=fog oma=grandma opa=grandpa park=park party=party
    pferd=horse pferde=horses picknick=picnic regen=rain reise=journey reisen=travel rosen=roses schiff=ship
    schlaf=sleep schnee=snow schule=school schwester=sister schwimmen=swimming see=lake sehnsucht=longing
    silvester=new-year's-eve skifahren=skiing sohn=son sommer=summer sonne=sun sonnenaufgang=sunrise
    sonnenuntergang=sunset spaziergang=walk sport=sports stadt=city stern=star sterne=stars strand=beach straße=street
    straßen=streets sturm=storm tag=day tanz=dance tanzen=dancing tee=tea telefon=phone tier=animal tiere=animals
    tisch=table tochter=daughter tod=death traum=dream trennung=breakup träume=dreams tür=door urlaub=vacation
    vater=father verlust=loss vogel=bird vögel=birds wald=forest wandern=hiking wasser=water weg=road
    weihnachten=christmas weihnachts=christmas wein=wine welle=wave wellen=waves welt=world wiese=meadow wind=wind
    winter=winter wohnung=apartment wolken=clouds zeit=time zug=train zuhause=home züge=trains
"""

# German nouns that are English words, too.
HOMOGRAPHS = frozenset(
    {"auto", "autos", "ball", "boot", "kind", "see", "stern", "strand", "tag", "tee", "tier", "wind"}
)

SMALL, AMBIGUOUS, BASIC = (frozenset(words.split()) for words in (SMALL_WORDS, AMBIGUOUS_WORDS, BASIC_GENRES))
GERMAN: dict[str, str] = dict(pair.split("=") for pair in GERMAN_WORDS.split())
MOOD_OF: dict[str, list[str]] = {}
for _mood, _words in MOODS.items():
    for _word in _words.split():
        MOOD_OF.setdefault(_word.replace("-", " "), []).append(_mood)
RELATED_MOOD_OF = {word: mood for mood, words in RELATED_MOODS.items() for word in words.split()}
EXPLICIT_OF = {word: explicit for explicit, words in EXPLICIT.items() for word in words.split()}
ENDINGS = ("es", "er", "en", "em", "e", "s", "n")
# Words for songs: a word before one says what kind they are.
MUSIC = frozenset({"song", "songs", "music", "track", "tracks", "tune", "tunes", "lyrics", "singer", "singers"}) | {
    *("lied", "lieder", "liedern", "musik", "text", "texte", "stück", "stücke")
}
COMPOUND = ("musik", "lieder", "lied", "songs", "song")


def stems(word: str) -> Iterator[str]:
    """Yield a word in lower case as it is, then without the endings that German adjectives and plurals have."""
    yield word
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            yield word.removesuffix(ending)


def without_music(word: str) -> str | None:
    """Return the first part of a German compound that ends in a word for music ("rockmusik", "kinderlieder")."""
    return next((word.removesuffix(end) for end in COMPOUND if word.endswith(end) and len(word) > len(end) + 2), None)


def moods_of(word: str) -> list[str]:
    """Return the moods that a word in lower case names; empty for another word."""
    return next((MOOD_OF[stem] for stem in stems(word) if stem in MOOD_OF), [])


def years_of(word: str) -> tuple[int, int] | None:
    """Return the first and the last year of a decade or a year ("80s", "neunziger", "2015"); None for another word."""
    if match := DECADE.fullmatch(word):
        decade = int(match["decade"]) * 10
        start = int(match["century"] or ("20" if decade < 30 else "19")) * 100 + decade
        return start, start + 9
    if YEAR.fullmatch(word):
        return int(word), int(word)
    start = next((DECADES[stem] for stem in stems(word) if stem in DECADES), 0)
    return (start, start + 9) if start else None


def english(typed: str, known: Container[str]) -> str:
    """Return the English word or words for a German one that is listed here, else the word in lower case.

    ``known``: the words that the model knows; their plurals and endings are not taken for German ones.
    """
    word = typed.lower()
    if word in HOMOGRAPHS and word == typed:  # a German noun has a capital
        return word
    first = without_music(word)
    listed = [word] if word in known else [*stems(word), *(stems(first) if first else ())]
    return next((GERMAN[stem] for stem in listed if stem in GERMAN), word).replace("-", " ")
