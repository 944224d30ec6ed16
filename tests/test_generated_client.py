"""A client that openapi-python-client makes from the schema does what a person does, with a real server and worker."""

import importlib
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command

from .accounts import token_of
from .contract import SNAPSHOT
from .fuzz.site import running_site, running_worker

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

NAME = "client_of_the_songs_api"


@pytest.fixture
def generated(tmp_path, monkeypatch):
    """Return a function that imports a module of the client."""
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []\n")  # it would format the code
    program = Path(sys.executable).with_name("openapi-python-client")
    command = [program, "generate", "--path", SNAPSHOT, "--output-path", tmp_path / NAME, "--config", config]
    subprocess.run([*command, "--meta", "none"], check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda module: importlib.import_module(f"{NAME}.{module}")
    for module in [module for module in sys.modules if module.startswith(NAME)]:
        del sys.modules[module]


def test_the_whole_loop(generated, alice, staff, photo_bytes, tmp_path):
    call_command("socialsongs_releases", "register")
    models, types = generated("models"), generated("types")

    def call(operation, client, *path, **options):
        answer = generated(f"api.{operation}").sync_detailed(*path, client=client, **options)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    def finished(operation, *path):
        deadline = time.monotonic() + 60
        while (found := call(operation, mine, *path, prefer="wait=3")).state not in ("ready", "failed"):
            assert time.monotonic() < deadline
        assert found.state == "ready", found.failure
        return found

    client = generated("client").AuthenticatedClient
    with (
        running_site(tmp_path) as site,
        running_worker(tmp_path),
        client(base_url=site.url, token=token_of(alice), prefix="Token") as mine,
        client(base_url=site.url, token=token_of(staff), prefix="Token") as desk,
    ):
        rows = [
            {"id": str(number), "title": f"Song {number}", "artist": f"Band {number}", "lyrics": f"{words}\nto the sea"}
            for number, words in enumerate(["Gulls over the harbour", "Snow on the road", "A red door", "Home at last"])
        ]
        body = models.BulkSongsRequest(
            source="shop",
            songs=[models.SongRowRequest(**row) for row in rows],
            status=models.BulkSongsStatusEnum.PUBLISHED,
        )
        assert call("songs.write_songs", desk, body=body).created == 4
        assert len(call("songs.list_songs", mine, q="song").results) == 4

        photo = types.File(payload=BytesIO(photo_bytes()), file_name="a.jpg", mime_type="image/jpeg")
        new = models.NewPostRequest(photos=[photo], caption="By the sea")
        post = finished("posts.read_post", call("posts.create_post", mine, body=new, idempotency_key=str(uuid4())).id)
        assert post.photos[0].tags is not None
        assert post.suggestions

        other = models.RecommendationParametersRequest(text="upbeat", limit=2)
        asked = call("posts.request_recommendations", mine, post.id, body=other, prefer="respond-async")
        asked = finished("posts.read_recommendations", post.id, asked.id)
        assert asked.parameters.text == "upbeat"
        song = asked.suggestions[0].song.id
        choice = models.ChoiceRequest(song=song, request=asked.id)
        assert call("posts.choose_song", mine, post.id, body=choice).chosen_song.id == song
        event = models.EventRequest(song=song, kind=models.EventKindEnum.HIDE, request=asked.id)
        feedback = models.FeedbackRequest(events=[event])
        assert call("posts.give_feedback", mine, post.id, body=feedback).recorded == 1
        call("posts.show_hidden_song", mine, post.id, song)

        text = models.TextParametersRequest(text="a walk by the sea")
        told = call("recommendations.request_songs_for_text", mine, body=text, prefer="respond-async")
        told = finished("recommendations.read_songs_for_text", told.id)
        assert told.suggestions
        assert call("songs.read_song", mine, told.suggestions[0].song.id).lyrics.endswith("to the sea")

        status = models.BulkStatusRequest(source="shop", ids=["0"], status=models.BulkStatusStatusEnum.RETIRED)
        assert call("songs.set_song_status", desk, body=status).updated == 1
        assert not call("taste.read_taste", mine).offered
        call("posts.clear_choice", mine, post.id)
        call("posts.delete_post", mine, post.id)
        assert call("posts.list_posts", mine).results == []
        assert "Traceback" not in site.log.read_text()
