"""The OpenAPI schema, as a committed snapshot."""

import re
from pathlib import Path
from uuid import UUID

import yaml
from django.core.management import call_command
from rest_framework.test import APIClient

from socialsongs.errors import CatalogueError, SocialSongsError
from socialsongs.models import ApiClient, Scope
from socialsongs.services.api_keys import make_key

SNAPSHOT = Path(__file__).resolve().parents[1] / "docs" / "openapi.yaml"


def test_the_schema_is_the_committed_one(tmp_path):
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(fresh), validate=True, fail_on_warn=True)
    assert fresh.read_text() == SNAPSHOT.read_text(), "The API changed. If that is meant: make schema, and CHANGELOG.md"


def test_every_operation_says_what_can_go_wrong():
    paths = yaml.safe_load(SNAPSHOT.read_text())["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation.get("summary") or operation.get("description"), (method, path)
            if path.startswith("/api/v1/"):
                expected = {"401", "403", "406", "429", "503"}
                expected |= {"400", "413", "415"} if "requestBody" in operation else set()
                expected |= {"404"} if "{" in path else set()
                assert expected <= set(operation["responses"]), (method, path)
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        assert list(response["content"]) == ["application/problem+json"], (method, path, status)
                assert operation["responses"]["429"]["headers"]["Retry-After"]["required"]


def test_a_list_is_a_page_of_results():
    document = yaml.safe_load(SNAPSHOT.read_text())
    for path in ("/api/v1/posts", "/api/v1/songs"):
        operation = document["paths"][path]["get"]
        assert {"cursor", "page_size"} <= {parameter["name"] for parameter in operation["parameters"]}
        name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        page = document["components"]["schemas"][name]
        assert page["required"] == ["next", "previous", "results"]
        assert page["properties"]["results"]["type"] == "array"


def test_the_schema_bounds_the_lists_that_may_be_sent():
    schemas = yaml.safe_load(SNAPSHOT.read_text())["components"]["schemas"]
    events = schemas["FeedbackRequest"]["properties"]["events"]
    photos = schemas["NewPostRequest"]["properties"]["photos"]
    assert (events["minItems"], events["maxItems"]) == (1, 100)
    assert (photos["minItems"], photos["items"]) == (1, {"type": "string", "format": "binary"})


def test_every_operation_refuses_a_parameter_that_the_schema_does_not_name(db):
    client = ApiClient.objects.create(name="Pictogram", scopes=Scope.values)
    _, text = make_key(client=client, name="all", scopes=Scope.values, expires_at=None)
    api = APIClient(headers={"Authorization": f"Bearer {text}", "SocialSongs-User": "17"})
    for path, operations in yaml.safe_load(SNAPSHOT.read_text())["paths"].items():
        address = re.sub(r"\{\w+\}", str(UUID(int=0)), path.replace("{position}", "0"))
        for method, operation in operations.items():
            named = [found["name"] for found in operation.get("parameters", []) if found["in"] == "query"]
            answer = getattr(api, method)(f"{address}?limits=1&q%00=1")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), (method, path)
            errors = answer.json()["errors"]
            assert sorted(errors) == ["limits", "q\0"]
            known = re.search("Known: (.*)[.]", errors["limits"][0])
            assert (sorted(known[1].split(", ")) if known else []) == sorted(named), (method, path)
    assert api.put("/api/v1/songs?limits=1").status_code == 405


def test_no_body_may_hold_an_unknown_key():
    document = yaml.safe_load(SNAPSHOT.read_text())
    bodies = [
        content["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    names = [body["$ref"].rpartition("/")[2] for body in bodies if "$ref" in body]
    assert len(names) >= 10
    for name in [*names, "EventRequest", "TextEventRequest", "SongRowRequest"]:
        assert document["components"]["schemas"][name]["additionalProperties"] is False, name


def test_nothing_in_an_answer_is_optional_but_the_fields_of_a_problem():
    for name, schema in yaml.safe_load(SNAPSHOT.read_text())["components"]["schemas"].items():
        optional = set(schema.get("properties", ())) - set(schema.get("required", ()))
        if not name.endswith("Request"):
            assert optional == ({"errors", "photo"} if name == "Problem" else set()), name


def kinds_of(error):
    return [error, *(kind for narrower in error.__subclasses__() for kind in kinds_of(narrower))]


def test_every_code_of_an_error_is_in_the_documentation():
    documented = (SNAPSHOT.parent / "api.md").read_text()
    elsewhere = kinds_of(CatalogueError)  # of the import, which no client calls
    codes = {kind.code for kind in kinds_of(SocialSongsError) if kind not in elsewhere} - {"error"}
    assert [code for code in sorted(codes) if f"`{code}`" not in documented] == []


def test_schema_and_its_ui_work_offline(client):
    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/schema/ui/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page.replace("https://spec.openapis.org", "")
