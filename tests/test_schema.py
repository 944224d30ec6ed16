"""The contract, as a committed snapshot."""

from pathlib import Path

import yaml
from django.core.management import call_command

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
                expected = {"401", "429"} | ({"415"} if "requestBody" in operation else set())
                assert expected <= set(operation["responses"]), (method, path)


def test_schema_and_its_ui_work_offline(client):
    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/schema/ui/").content.decode()
    assert "swagger-ui" in page
    assert "https://" not in page.replace("https://spec.openapis.org", "")
