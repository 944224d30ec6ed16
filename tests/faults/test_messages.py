"""Messages that are delivered several times, and workers that compete for rows: each row is claimed once."""

import pytest

from socialsongs import dispatch
from socialsongs.broker import INTERACTIVE, celery_app, queue
from socialsongs.models import Post, State

from .crew import COLOURS, Stopwatch

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


def deliver(times: int) -> None:
    """Deliver the same message several times."""
    with celery_app().connection_for_write() as connection:
        for _ in range(times):
            celery_app().send_task(
                dispatch.DRAIN_INTERACTIVE, task_id="the-same", queue=queue(INTERACTIVE), connection=connection
            )


def test_each_row_is_taken_once_however_often_a_message_is_delivered(crew, record, monkeypatch):
    with crew.worker("one"), crew.worker("two"):
        crew.wait_ready("one", "two")
        crew.switch_on("wait-after_decode", text="0.2")
        began = len(crew.looks())
        with monkeypatch.context() as without:
            without.setattr(dispatch, "send", lambda task: False)
            crew.post(*COLOURS)
        watch = Stopwatch()
        deliver(5)
        record("one message delivered five times at once", "two workers", crew.settled(), watch.seconds)
        looks = crew.looks()[began:]
        assert sum(photos for _, photos in looks) == len(COLOURS)  # none was analysed twice
        assert len({pid for pid, _ in looks}) == 2  # they did share the work

        posts = crew.post(*COLOURS * 3)
        watch = Stopwatch()
        record("two workers race for the same rows", "one wake-up for each post", crew.settled(posts), watch.seconds)
        assert sum(photos for _, photos in crew.looks()[began:]) == len(crew.posts)
    assert {(post.state, post.attempts) for post in crew.posts} == {(State.READY, 1)}
    assert Post.objects.count() == 4 * len(COLOURS)
