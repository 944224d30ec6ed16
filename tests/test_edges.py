"""Requests as hostile, sloppy and unlucky clients send them: never a 500, and under /api/ always problem+json."""

import base64
import json

import pytest
from django.test import Client

from socialsongs.conf import MIB, config
from socialsongs.models import Post

pytestmark = pytest.mark.django_db

POSTS, SONGS, TASTE = "/api/v1/posts", "/api/v1/songs", "/api/v1/taste"
FORM = "multipart/form-data; boundary=edge"
NOBODYS = "00000000-0000-4000-8000-000000000000"  # the same in each process that collects the tests


@pytest.fixture
def token(alice):
    from .accounts import token_of

    return {"Authorization": f"Token {token_of(alice)}"}


@pytest.fixture
def ask(token):
    client = Client(raise_request_exception=False)

    def request(method, path, body=b"", content_type="application/json", headers=(), **environ):
        return client.generic(method, path, body, content_type, headers=token | dict(headers), **environ)

    return request


def is_problem(response, status, code=None):
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert code in (None, body["code"])
    return True


def part(name, value, more=""):
    value = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--edge--\r\n"


def photo(content, name="a.jpg"):
    return part("photos", content, f'; filename="{name}"')


def cursor(text):
    return base64.b64encode(text.encode()).decode()


# Cursors

CURSORS = {
    "overflow to the west": "p=9999-12-31T23:59:59-23:59",
    "overflow to the east": "p=0001-01-01T00:00:00%2B23:59",
    "the first moment": "p=0001-01-01T00:00:00%2B00:00",
    "the last moment": "p=9999-12-31T23:59:59.999999%2B00:00",
    "no zone": "p=2026-01-01T00:00:00",
    "a date": "p=2026-01-01",
    "year 0": "p=0000-01-01T00:00:00Z",
    "infinity": "p=infinity",
    "NaN": "p=NaN",
    "a huge year": "p=99999-01-01T00:00:00Z",
    "a leap second": "p=2016-12-31T23:59:60Z",
    "null character": "p=a%00b",
    "half a surrogate": "p=%ED%A0%BD",
    "a huge offset": f"o={10**30}&p=2026-01-01T00:00:00Z",
    "thousands of digits": f"o={'9' * 5000}&p=2026-01-01T00:00:00Z",
    "a negative offset": "o=-1&p=2026-01-01T00:00:00Z",
    "no number": "o=x",
    "only reverse": "r=1",
    "reverse to nowhere": "r=1&p=",
    "a thousand fields": "&".join(f"p{number}=1" for number in range(1500)),
    "empty": "",
}


# Posts are ordered by time and songs by title, so that any text is a position among songs.
POSTS_READ = {"the first moment", "the last moment", "a huge offset", "only reverse", "a thousand fields", "empty"}
SONGS_REFUSE = {"null character", "thousands of digits", "a negative offset", "no number"}


@pytest.mark.parametrize(
    ("path", "read"), [(POSTS, POSTS_READ), (SONGS, CURSORS.keys() - SONGS_REFUSE)], ids=["posts", "songs"]
)
@pytest.mark.parametrize("name", CURSORS)
def test_a_cursor_that_is_not_ours_is_read_or_not_found(ask, path, read, name, make_song):
    make_song()
    response = ask("GET", f"{path}?cursor={cursor(CURSORS[name])}")
    if name in read:
        assert response.status_code == 200, response.content
    else:
        is_problem(response, 404, "not_found")


@pytest.mark.parametrize("cursor", ["cD05OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5", "cD1h", "é", "%ff", "a"])
def test_a_malformed_cursor_is_not_found(ask, cursor):
    is_problem(ask("GET", f"{POSTS}?cursor={cursor}"), 404, "not_found")


def test_a_cursor_of_ours_leads_on(ask, alice):
    posts = [Post.objects.create(owner=alice) for _ in range(3)]
    first = ask("GET", f"{POSTS}?page_size=2").json()
    second = ask("GET", first["next"].removeprefix("http://testserver")).json()
    found = [post["id"] for post in first["results"] + second["results"]]
    assert found == [str(post.pk) for post in reversed(posts)]


# Headers

TYPES = {
    "hex": "charset=hex",
    "idna": "charset=idna",
    "utf-7": "charset=utf-7",
    "punycode": "charset=punycode",
    "rot13": "charset=rot13",
    "unicode_escape": "charset=unicode_escape",
    "undefined": "charset=undefined",
    "none that there is": "charset=klingon",
    "quoted": 'charset="hex"',
    "utf-16": "charset=utf-16",
    "letters of no ASCII": "charset=ü",
    "very long": f"charset={'x' * 9000}",
}


@pytest.mark.parametrize("charset", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [("POST", POSTS, FORM), ("PATCH", TASTE, "application/json")],
    ids=["upload", "JSON"],
)
def test_an_unsupported_charset_is_refused(ask, method, path, content_type, charset):
    is_problem(ask(method, path, form(part("caption", "x")), f"{content_type}; {charset}"), 415, "unsupported_encoding")


def test_the_charset_of_a_request_without_a_body_does_not_matter(ask):
    assert ask("GET", SONGS, content_type="text/plain; charset=hex").status_code == 200


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", '"utf-8"', "us-ascii", "latin-1"])
def test_a_supported_charset_is_accepted(ask, photo_bytes, charset):
    assert ask("POST", POSTS, form(photo(photo_bytes())), f"{FORM}; charset={charset}").status_code == 202


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "x-gzip", "identity, gzip", "GZIP", "wrong"])
@pytest.mark.parametrize(("method", "path", "type"), [("POST", POSTS, FORM), ("PATCH", TASTE, "application/json")])
def test_a_compressed_body_is_refused(ask, method, path, type, encoding):
    answer = ask(method, path, b"x" * 90, type, {"Content-Encoding": encoding})
    is_problem(answer, 415, "unsupported_encoding")


def test_a_body_that_is_not_compressed_may_say_so(ask):
    assert ask("PATCH", TASTE, b"{}", headers={"Content-Encoding": "identity"}).status_code == 400


@pytest.mark.parametrize("length", ["", "-5", "abc", "1e3", "٣", "0x10"])
def test_a_body_without_a_length_is_refused(ask, length):
    environ = {"CONTENT_LENGTH": length} if length else {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    is_problem(ask("PATCH", TASTE, b'{"enabled": true}', **environ), 411, "length_required")


@pytest.mark.parametrize("who", ["alice", "a stranger"])
def test_more_than_all_photos_of_a_post_is_refused_unread(ask, who):
    headers = {} if who == "alice" else {"Authorization": ""}
    length = config().MAX_UPLOAD_BYTES * config().MAX_PHOTOS_PER_POST
    for more in (3 * MIB, 10**15, 10**30):
        answer = ask("POST", POSTS, b"", FORM, headers, CONTENT_LENGTH=str(length + more))
        is_problem(answer, 413, "body_too_large")
    answer = ask("POST", POSTS, b"", FORM, headers, CONTENT_LENGTH=str(length))
    assert answer.status_code == (415 if who == "alice" else 401)  # there is no body, and so no type of one


# The statuses of the API's pages and of the health page; the API itself speaks JSON alone.
ACCEPTS = {
    "x": (406, 200),
    "": (406, 406),
    "/": (406, 200),
    "*/*;q=x": (200, 200),
    ";": (406, 200),
    "text/html": (200, 200),
    "application/xml": (406, 406),
    "a/b;c=d;" * 500: (406, 200),
    ",": (406, 406),
    "é": (406, 200),
    "text/plain;q=2": (406, 200),
    '"': (406, 200),
}


@pytest.mark.parametrize(("accept", "page"), [(accept, page) for accept, (page, _) in ACCEPTS.items()])
def test_an_odd_accept_is_answered_in_json_or_refused(ask, accept, page):
    client = Client(raise_request_exception=False)
    if accept == "*/*;q=x":
        response = ask("GET", POSTS, headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (200, "application/json")
        for path in ("/api/v1/nothing", f"{POSTS}/{NOBODYS}"):
            is_problem(ask("GET", path, headers={"Accept": accept}), 404, "not_found")
    else:
        for path in (POSTS, "/api/v1/nothing", f"{POSTS}/{NOBODYS}"):
            is_problem(ask("GET", path, headers={"Accept": accept}), 406, "not_acceptable")
    schema = 406 if accept == "text/html" else page  # which is YAML
    assert client.get("/api/schema/", headers={"Accept": accept}).status_code == schema
    assert client.get("/api/schema/ui/", headers={"Accept": accept}).status_code == page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("accept", "health"), [(accept, health) for accept, (_, health) in ACCEPTS.items()])
def test_an_odd_accept_of_a_probe_is_answered_or_refused(accept, health):
    response = Client(raise_request_exception=False).get("/health/", headers={"Accept": accept})
    assert response.status_code == health


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "CONNECT", "QUERY", "X" * 300, "PUT"])
def test_an_odd_method_is_not_allowed(ask, alice, method):
    is_problem(ask(method, POSTS), 405, "method_not_allowed")
    assert ask(method, "/").status_code == 302  # to the login: a token is none for pages
    client = Client()
    client.force_login(alice)
    assert client.generic(method, "/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        f"{POSTS}/",
        f"{SONGS}/",
        f"{POSTS}/not-an-id",
        f"{POSTS}/{NOBODYS}/",
        f"{POSTS}/{NOBODYS}/retry/",
        f"{POSTS}/%00",
        f"{POSTS}/%ff%fe",
        f"{POSTS}/%zz",
        f"{POSTS}//",
        "/api/v1",
        "/api/v2/posts",
        "/api/",
        "/api/v1/" + "x" * 20_000,
    ],
)
def test_an_unknown_address_is_not_found(ask, path):
    for method in ("GET", "POST", "DELETE"):
        is_problem(ask(method, path), 404, "not_found")


@pytest.mark.parametrize("key", ["a\0b", "a\x01b", "a\nb", "a\x7fb", "\x85", "\t"])
def test_an_idempotency_key_with_control_characters_is_refused(ask, photo_bytes, key):
    answer = ask("POST", POSTS, form(photo(photo_bytes())), FORM, {"Idempotency-Key": key})
    assert "Idempotency-Key" in answer.json()["errors"]
    is_problem(answer, 400, "invalid")


# Queries

QUERIES = {
    "null character": "%00",
    "half a percent": "%",
    "no UTF-8": "%ff%fe",
    "half a surrogate": "%ED%A0%BD",
    "very long": "a" * 200_000,
    "very many words": "a+" * 20_000,
    "operators": "%27%26%7C!()%3A*%5C",
    "right to left": "%E2%80%AE",
}


EVERY = set(QUERIES)
NO_CURSOR = {"no UTF-8", "half a surrogate", "very long", "very many words", "right to left"}
# Parameter: the values that are refused, and how; other values are fine. Other parameters are refused with any.
REFUSED = {
    SONGS: {
        "q": ({"null character", "very long", "very many words"}, 400),
        "language": (EVERY, 400),
        "genre": ({"null character"}, 400),
        "explicit": (EVERY, 400),
        "cursor": (NO_CURSOR, 404),
        "page_size": (EVERY, 400),
    },
    POSTS: {"cursor": (NO_CURSOR, 404), "page_size": (EVERY, 400)},
    "similar": {"limit": (EVERY, 400)},
}


@pytest.mark.parametrize("value", QUERIES)
@pytest.mark.parametrize("parameter", ["q", "language", "genre", "explicit", "cursor", "page_size", "format", "limit"])
def test_an_odd_query_is_answered_or_refused(ask, make_song, parameter, value):
    paths = {SONGS: SONGS, POSTS: POSTS, "similar": f"{SONGS}/{make_song().pk}/similar"}
    for name, path in paths.items():
        response = ask("GET", f"{path}?{parameter}={QUERIES[value]}")
        refused, status = REFUSED[name].get(parameter, (EVERY, 400))
        if value in refused:
            is_problem(response, status, {400: "invalid", 404: "not_found"}[status])
        else:
            assert response.status_code == 200, (path, response.content)


def test_thousands_of_parameters_are_refused(ask):
    is_problem(ask("GET", SONGS + "?" + "&".join("a=1" for _ in range(2000))), 400, "too_many_fields")


# Bodies

TEXT_2_MIB = json.dumps({"text": "a" * (2 * 1024 * 1024)}).encode()
JSON = {
    "over 2 MiB": (TEXT_2_MIB, 413, "body_too_large"),
    "nested deeply": (b"[" * 500_000, 400, "parse_error"),
    "nested deeply, and closed": (b'{"text":' * 50_000 + b"1" + b"}" * 50_000, 400, "parse_error"),
    "a number of 100,000 digits": (b'{"limit": ' + b"9" * 100_000 + b"}", 400, None),
    "infinity": (b'{"limit": 1e999}', 400, None),
    "Infinity": (b'{"limit": Infinity}', 400, None),
    "a number with a huge exponent": (b'{"limit": 1e300}', 400, None),
    "half a surrogate as a value": (b'{"text": "\\ud83d"}', 400, None),
    "half a surrogate as a key": (b'{"\\ud83d": 1}', 400, "invalid"),
    "half a surrogate as a market": (b'{"market": "\\ud83d"}', 400, "invalid"),
    "half a surrogate as a genre": (b'{"genre": "\\ud83d"}', 400, "invalid"),
    "a null character": (b'{"text": "a\\u0000b"}', 400, "invalid"),
    "a null character as a genre": (b'{"genre": "a\\u0000b"}', 400, "invalid"),
    "a null character as a language": (b'{"language": "a\\u0000b"}', 400, "invalid"),
    "no UTF-8": (b'{"text": "\xff\xfe"}', 400, "parse_error"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), 400, "parse_error"),
    "a list": (b"[]", 400, None),
    "a number": (b"1", 400, None),
    "null": (b"null", 400, None),
    "a string": (b'"a"', 400, None),
    "half": (b'{"text": ', 400, "parse_error"),
    "only null characters": (bytes(100), 400, "parse_error"),
    "exclude: no ids": (b'{"exclude": ["\\u0000", {}, null, 1e99]}', 400, "invalid"),
}


@pytest.mark.parametrize(("body", "status", "code"), JSON.values(), ids=JSON)
def test_odd_json_is_refused_by_every_endpoint_that_takes_json(ask, ready_post, body, status, code):
    is_problem(ask("POST", f"{POSTS}/{ready_post.pk}/recommendations", body), status, code)
    is_problem(ask("POST", f"{POSTS}/{ready_post.pk}/feedback", body), status)
    is_problem(ask("POST", f"{POSTS}/{ready_post.pk}/choice", body), status)
    is_problem(ask("PATCH", TASTE, body), status)


FORMS = {
    "1,000 photos": (form(*[photo(b"x")] * 1000), FORM, 422, "too_many_photos"),
    "2,000 fields": (form(*[part("a", "x")] * 2000), FORM, 400, "too_many_fields"),
    "a caption of 3 MB": (form(part("caption", "x" * 3_000_000)), FORM, 413, "body_too_large"),
    "a caption with a null character": (form(part("caption", "a\0b"), photo(b"x")), FORM, 400, "invalid"),
    "a caption that is no UTF-8": (form(part("caption", b"\xff\xfe"), photo(b"x")), FORM, 422, "not_a_photo"),
    "a visibility with a null character": (form(part("visibility", "\0"), photo(b"x")), FORM, 400, "invalid"),
    "a file name with a null character": (form(photo(b"x", "a\0.jpg")), FORM, 422, "not_a_photo"),
    "a file name of 10,000 letters": (form(photo(b"x", "a" * 10_000)), FORM, 400, "parse_error"),
    "a file without a name": (form(photo(b"x", "")), FORM, 400, "invalid"),
    "no boundary": (form(photo(b"x")), "multipart/form-data", 400, "parse_error"),
    "an empty boundary": (form(photo(b"x")), "multipart/form-data; boundary=", 400, "parse_error"),
    "a boundary of 300 letters": (form(photo(b"x")), "multipart/form-data; boundary=" + "e" * 300, 415, None),
    "a boundary with odd letters": (form(photo(b"x")), 'multipart/form-data; boundary="e\xfc"', 400, "parse_error"),
    "another boundary": (form(photo(b"x")), "multipart/form-data; boundary=other", 400, "invalid"),
    "no end": (photo(b"x"), FORM, 400, "invalid"),
    "nothing but a boundary": (b"--edge", FORM, 400, "invalid"),
    "parts in parts": (
        form(part("photos", "x", "\r\nContent-Type: multipart/mixed; boundary=b")),
        FORM,
        400,
        "invalid",
    ),
    "base64 that is none": (form(part("caption", "!", "\r\nContent-Transfer-Encoding: base64")), FORM, 400, None),
    "a header of 1 MB": (form(part("caption", "x", "\r\nX: " + "y" * 1_000_000)), FORM, 400, None),
    "urlencoded": (b"caption=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "multipart/mixed": (form(photo(b"x")), "multipart/mixed; boundary=edge", 415, "unsupported_media_type"),
    "no type": (form(photo(b"x")), "", 415, "unsupported_media_type"),
    "a type that is none": (form(photo(b"x")), "multipart", 415, "unsupported_media_type"),
}


# Forms that can be read, whatever is in them: a session's token against forgery is missed in them.
READABLE = {
    "a caption with a null character",
    "a caption that is no UTF-8",
    "a visibility with a null character",
    "a file name with a null character",
    "a file without a name",
    "another boundary",
    "no end",
    "nothing but a boundary",
    "parts in parts",
    "base64 that is none",
}


@pytest.mark.parametrize("name", FORMS)
def test_an_odd_upload_is_a_problem(ask, name):
    body, content_type, status, code = FORMS[name]
    is_problem(ask("POST", POSTS, body, content_type), status, code)


@pytest.mark.parametrize("name", FORMS)
def test_an_odd_upload_of_a_session_is_a_problem(alice, name):
    """The check against forgery is the first to read the body."""
    body, content_type, status, code = FORMS[name]
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(alice)
    client.cookies["csrftoken"] = "a" * 32
    response = client.generic("POST", POSTS, body, content_type)
    if name in READABLE:
        is_problem(response, 403, "permission_denied")
    else:
        is_problem(response, status, code)


PAGE_FORMS = {
    "1,000 photos": (form(*[photo(b"x")] * 1000), FORM, 422, "at most 10 photos"),
    "2,000 fields": (form(*[part("a", "x")] * 2000), FORM, 400, "too many fields"),
    "a caption of 3 MB": (form(part("caption", "x" * 3_000_000)), FORM, 413, "too long"),
    "no boundary": (form(photo(b"x")), "multipart/form-data", 400, "cannot be read"),
    "an odd boundary": (form(photo(b"x")), 'multipart/form-data; boundary="e\xfc"', 400, "cannot be read"),
    "a charset of no text": (form(photo(b"x")), f"{FORM}; charset=hex", 415, "UTF-8"),
    "a null character": (form(part("caption", "a\0b"), photo(b"x")), FORM, 422, "not a JPEG"),
    "nothing": (b"", FORM, 422, "no photo"),
    "urlencoded in another charset": (b"a=b", "application/x-www-form-urlencoded; charset=latin-1", 400, "cannot be"),
}


@pytest.mark.parametrize(("body", "content_type", "status", "text"), PAGE_FORMS.values(), ids=PAGE_FORMS)
def test_an_odd_upload_to_the_page_is_answered_with_a_page_that_says_why(alice, body, content_type, status, text):
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    whole = client.generic("POST", "/", body, content_type)
    assert (whole.status_code, whole["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert text in whole.content.decode()
    assert "</html>" in whole.content.decode()
    fragment = client.generic("POST", "/", body, content_type, headers={"HX-Request": "true"})
    assert fragment.status_code == status
    assert text in fragment.content.decode()
    assert "<html" not in fragment.content.decode()


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/login/"])
def test_odd_fields_of_a_login_are_no_server_error(path):
    client = Client(raise_request_exception=False)
    assert client.post(path, {"username": "a\0b", "password": "x"}).status_code == 200
    many = "&".join(["a=x"] * 2000)
    assert client.generic("POST", path, many, "application/x-www-form-urlencoded").status_code == 400
    assert client.generic("POST", path, b"x" * 100_000, "text/plain").status_code == 413
    assert client.generic("POST", path, form(part("username", "x")), "multipart/form-data").status_code == 400


def test_forgery_is_still_refused(alice, upload):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/", {"photos": upload()}).status_code == 403
    token = client.get("/").context["csrf_token"]
    assert client.post("/", {"photos": upload(), "csrfmiddlewaretoken": str(token)}).status_code == 302
    answer = client.post(POSTS, {"photos": upload()})
    is_problem(answer, 403, "permission_denied")
