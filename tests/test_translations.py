"""Every text for people goes through gettext, and the German catalogues are complete."""

import ast
import re
from html.parser import HTMLParser

import pytest
from babel.messages.pofile import read_po
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.template.base import Lexer, TokenType
from django.test import override_settings
from django.utils import translation

from socialsongs.models import Post, RecommendationRequest, State

from . import messages
from .processes import ROOT

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|(?<!%)%[sd]|\{\w*\}")
TEMPLATES = [
    path for package in messages.PACKAGES for path in package.files((".html", ".txt")) if "templates" in path.parts
]
# Names and signs that are the same in every language.
SAME = {"SocialSongs"}
SPOKEN = ("alt", "aria-label", "placeholder", "title", "hx-confirm", "data-say", "data-too-many")


class Texts(HTMLParser):
    """Collect what people read or hear: texts between tags, and the attributes that are spoken."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value or "" for name, value in attributes if name in SPOKEN]

    def handle_data(self, data):
        if self.lasttag not in ("script", "style"):
            self.found.append(data)


def hard_coded(source):
    """Return the texts of a template that no tag translates."""
    kept, translated = [], False
    for token in Lexer(source).tokenize():
        word = token.contents.split(" ", 1)[0] if token.token_type == TokenType.BLOCK else ""
        if word in ("blocktranslate", "blocktrans", "comment"):
            translated = True
        elif word in ("endblocktranslate", "endblocktrans", "endcomment"):
            translated = False
        elif not translated and token.token_type in (TokenType.TEXT, TokenType.VAR):
            kept.append(token.contents if token.token_type == TokenType.TEXT else "x")
    parser = Texts()
    parser.feed("".join(kept))
    parser.close()
    words = {re.sub(r"\bx+\b", "", text).strip(" \n·♪:“”().") for text in parser.found}  # x stands for a value
    return {text for text in words if re.search(r"[^\W\d_]{2}", text)} - SAME


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_text_of_a_template_is_hard_coded(path):
    assert hard_coded(path.read_text()) == set()


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello</p>",
        '{% translate "Hello" %} there',
        '<img alt="A photo">',
        "{% if own %}Yours{% endif %}",
        '<button aria-label="Choose {{ song }}"></button>',
    ],
)
def test_a_hard_coded_text_is_found(source):
    assert hard_coded(source)


# Texts of commands, of checks, of functions for a host's code and of the API's reference stay English: they are about
# programs, as the docs are.
CODE = [
    path
    for package in messages.PACKAGES
    for path in package.files((".py",))
    if not {"attached", "decoding", "management", "migrations"} & set(path.parts)
]
SPOKEN_ARGUMENTS = ("description", "help_text", "label", "verbose_name", "verbose_name_plural")
ERRORS = {"AuthenticationFailed", "NotFound", "ParseError", "PermissionDenied", "RegexValidator", "ValidationError"}
ABOUT_FILES = {"BadLine", "CatalogueError"}  # of the command that imports songs


def errors_for_people():
    """Return the names of the errors whose texts are shown."""
    trees = [ast.parse(path.read_text()) for path in CODE]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found, known = {"SocialSongsError"}, set()
    while found != known:
        known = set(found)
        found |= {node.name for node in classes if known & {ast.unparse(base).split(".")[-1] for base in node.bases}}
    return (found | ERRORS) - ABOUT_FILES


def spoken(tree, errors, *, reference):
    """Yield expressions whose texts people read; ``reference``: of a module with the reference of the API."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name in errors:
                yield from node.args[1:2] if name == "RegexValidator" else node.args[:1]
            if ast.unparse(node.func).startswith("messages."):
                yield from node.args[1:2]
        if isinstance(node, ast.keyword) and node.arg in SPOKEN_ARGUMENTS and not reference:
            yield node.value
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("verbose_name"):
            yield node.value


def untranslated(node):
    """Yield texts that no function of gettext gets; in a dict, of its values."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and re.search("[a-z]{2}", node.value) and node.value not in SAME:
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield ast.unparse(node)
    elif isinstance(node, ast.BinOp):
        yield from untranslated(node.left)  # on the right of % are values
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from untranslated(value)
    elif not isinstance(node, ast.Call | ast.Subscript):
        for child in ast.iter_child_nodes(node):
            yield from untranslated(child)


def hard_coded_in(source, errors, *, reference=False):
    tree = ast.parse(source)
    return [text for node in spoken(tree, errors, reference=reference) for text in untranslated(node)]


def test_no_text_in_the_code_is_hard_coded():
    errors = errors_for_people()
    assert {"NoPhoto", "NotAPhoto", "UnknownSong"} < errors
    found = {
        str(path.relative_to(ROOT)): texts
        for path in CODE
        if (texts := hard_coded_in(path.read_text(), errors, reference="api" in path.parts))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        'raise NoPhoto("Send a photo.")',
        'raise NoPhoto(f"Send {number} photos.")',
        'raise ValidationError({"song": "Choose one song."})',
        'field = CharField(help_text="The best one.")',
        'messages.success(request, f"{number} songs.")',
        '@admin.display(description="all songs")\ndef songs(): ...',
    ],
)
def test_a_hard_coded_text_in_code_is_found(source):
    assert hard_coded_in(source, errors_for_people())


@pytest.mark.parametrize("package", messages.PACKAGES, ids=lambda package: package.folder.name)
def test_the_german_catalogue_is_complete(package):
    assert messages.updated(package) == (package.po.read_bytes(), package.mo.read_bytes()), "run make messages"
    with package.po.open("rb") as file:
        catalogue = read_po(file, locale="de")
    assert len(catalogue) > 20
    for message in catalogue:
        if not message.id:
            continue
        said = message.string if message.pluralizable else (message.string,)
        asked = message.id if message.pluralizable else (message.id,) * len(said)
        assert not message.fuzzy, message.id
        assert all(said), f"not translated: {message.id}"
        for source, text in zip(asked, said, strict=True):
            # A singular may say "one" in place of the number.
            wanted, given = set(PLACEHOLDER.findall(source)), set(PLACEHOLDER.findall(text))
            assert given == wanted, (source, text)
            assert "Sie " not in text, f"people are addressed with “du”: {text}"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.django_db
def test_texts_make_no_migration_in_any_language(language):
    with override_settings(LANGUAGE_CODE=language), translation.override(language):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.fixture
def german(client, alice):
    client.force_login(alice)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de-AT,de;q=0.9"
    return client


def test_pages_speak_german_and_numbers_for_scripts_do_not(german, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    song.preview_url = "https://example.org/a.mp3"
    song.save()
    ready_post.requests.get().suggestions.update(clip_start_ms=12_500)
    with override_settings(USE_THOUSAND_SEPARATOR=True):
        home = german.get("/").content.decode()
        page = german.get(f"/posts/{ready_post.pk}").content.decode()
    assert '<html lang="de">' in home
    assert "Welcher Song passt zu deinem Foto?" in home
    assert 'data-max-bytes="15728640"' in home
    assert "Songs zu deinem Foto" in page
    assert "3 Songs zu deinem Foto." in page
    assert 'data-start="12.5"' in page
    assert 'maxlength="500"' in page
    assert 'data-box="0.1,0.2,0.6,0.8"' in page


def english_texts():
    """Return the texts of the catalogues that no German text is like."""
    found, german = set(), set()
    for package in messages.PACKAGES:
        with package.po.open("rb") as file:
            catalogue = read_po(file, locale="de")
        single = [message for message in catalogue if message.id and not message.pluralizable]
        found |= {message.id.casefold() for message in single}
        german |= {message.string.casefold() for message in single}
    return found - german


def test_no_page_mixes_languages(german, staff, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    pages = ["/", f"/posts/{ready_post.pk}", "/accounts/password/", "/nowhere"]
    texts = {path: german.get(path).content.decode() for path in pages}
    Post.objects.update(state=State.FAILED, reason="photo_missing")
    texts["failed"] = german.get(f"/posts/{ready_post.pk}").content.decode()
    Post.objects.update(state=State.QUEUED, reason="")
    texts["queued"] = german.get(f"/posts/{ready_post.pk}").content.decode()
    german.force_login(staff)
    models = [name for name, model in admin_models() if name != "feedback"]
    desk = ["/admin/", *(f"/admin/socialsongs/{name}/" for name in models), "/admin/socialsongs/rule/add/"]
    desk += [f"/admin/socialsongs/song/{song.pk}/change/", f"/admin/socialsongs/post/{ready_post.pk}/change/"]
    for path in desk:
        answer = german.get(path)
        assert answer.status_code == 200, path
        texts[path] = answer.content.decode()
    english = english_texts() - {"none", "en"}  # values: Django's word for an empty one, and a song's language
    mixed = {}
    for path, page in texts.items():
        parser = Texts()
        parser.feed(page)
        said = {" ".join(text.split()).strip(" :.").casefold() for text in parser.found}
        if said & english:
            mixed[path] = said & english
    assert mixed == {}


def admin_models():
    return [(model._meta.model_name, model) for model in admin.site._registry if model._meta.app_label == "socialsongs"]


def test_an_unknown_language_gets_english(german):
    page = german.get("/", headers={"Accept-Language": "fr"})
    assert '<html lang="en">' in page.content.decode()


@pytest.fixture
def german_api(api_of, alice):
    api = api_of(alice)
    api.defaults["HTTP_ACCEPT_LANGUAGE"] = "de,en;q=0.5"
    return api


def test_the_api_answers_in_the_language_that_is_asked_for(german_api, upload, ready_post):
    unknown = german_api.get("/api/v1/posts/00000000-0000-4000-8000-000000000000")
    assert unknown.json()["title"] == "Nicht gefunden"
    assert unknown.json()["code"] == "not_found"
    assert unknown.headers["Content-Language"] == "de"
    assert "Accept-Language" in unknown.headers["Vary"]
    refused = german_api.post("/api/v1/posts", {"photos": [upload(), upload(b"words")]}, format="multipart")
    assert refused.json()["detail"].startswith("Foto 2 (photo.jpg): Das ist kein Foto")
    assert refused.json()["code"] == "not_a_photo"
    RecommendationRequest.objects.update(notice="fewer_songs")
    assert german_api.get(f"/api/v1/posts/{ready_post.pk}/recommendations").status_code == 405
    asked = ready_post.requests.get()
    notice = german_api.get(f"/api/v1/posts/{ready_post.pk}/recommendations/{asked.pk}").json()["notice"]
    assert notice["code"] == "fewer_songs"
    assert notice["detail"].startswith("Weniger Songs")
    french = german_api.get("/api/v1/nowhere", headers={"Accept-Language": "fr"})
    assert (french.json()["title"], french.headers["Content-Language"]) == ("Not found", "en")


@override_settings(MIDDLEWARE=[name for name in settings.MIDDLEWARE if "Locale" not in name])
def test_a_host_without_the_middleware_for_languages_gets_the_same(german_api):
    assert german_api.get("/api/v1/nowhere").json()["title"] == "Nicht gefunden"


def test_the_schema_is_in_english(german_api):
    english = german_api.get("/api/schema/", headers={"Accept-Language": "en"}).content
    assert german_api.get("/api/schema/").content == english
