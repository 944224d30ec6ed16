"""Two releases side by side: the same people always get the same one, and each answers with its own vectors."""

import pytest
from django.core.management import CommandError, call_command

from socialsongs.models import ModelRelease, PhotoAnalysis, RecommendationRequest, State, Suggestion
from socialsongs.services.posts import create_post
from socialsongs.services.releases import NotPossible, activate, retire, split
from workers.drain import Loop
from workers.serving import Served, Serving, serving

from .releases import registered

pytestmark = pytest.mark.django_db


@pytest.fixture
def releases_folder(tmp_path, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "two")}
    return tmp_path / "two"


@pytest.fixture
def two(releases_folder, make_song):
    for number in range(3):
        make_song(f"Song {number}")
    found = registered(releases_folder, "old", "new")
    work_off()
    return found


def work_off():
    loop = Loop()
    while loop._interactive() or loop._bulk():
        pass
    loop.leave()


def test_a_share_of_the_people_always_gets_the_staged_one():
    old, new = (
        Served(ModelRelease(pk=pk, name=name, share=share), None) for pk, name, share in [(1, "old", 0), (2, "new", 10)]
    )
    served = Serving(old, [new])
    people = range(5000)
    tried = {person for person in people if served.of(person) == new}
    assert 400 < len(tried) < 600
    assert tried == {person for person in people if Serving(old, [new]).of(str(person)) == new}
    assert served.of(None) == old  # nobody's
    new.release.share = 20
    assert tried < {person for person in people if served.of(person) == new}  # more people, the first ones among them


def test_each_post_is_answered_by_its_owners_release(two, django_user_model, upload):
    old, new = two
    split(release=new, share=50)
    people = [django_user_model.objects.create_user(f"person{number}") for number in range(8)]
    posts = [create_post(owner=person, uploads=[upload()])[0] for person in people]
    work_off()
    expected = {post.pk: serving().of(post.owner_id).release for post in posts}
    assert set(expected.values()) == {old, new}
    for post in posts:
        post.refresh_from_db()
        assert post.state == State.READY
        (asked,) = post.requests.all()
        assert asked.release == expected[post.pk]
        by = set(Suggestion.objects.filter(request=asked).values_list("release", flat=True))
        assert by == {expected[post.pk].pk}
    assert PhotoAnalysis.objects.filter(release=new).count() == list(expected.values()).count(new)
    again = [RecommendationRequest.objects.create(post=post, text="the sea") for post in posts]
    work_off()
    for asked in again:
        asked.refresh_from_db()
        assert asked.release == expected[asked.post_id]


def test_when_it_ends_the_active_release_answers_for_all(two, alice, upload):
    old, new = two
    split(release=new, share=99)
    split(release=new, share=0)
    post, _ = create_post(owner=alice, uploads=[upload()])
    work_off()
    assert post.requests.get().release == old


@pytest.mark.parametrize("ends", [lambda new: activate(release=new), lambda new: retire(release=new)])
def test_activation_and_retirement_end_it(two, ends):
    _, new = two
    split(release=new, share=30)
    ends(new)
    new.refresh_from_db()
    assert new.share == 0


def test_what_cannot_be_split_is_said(two, make_song):
    old, new = two
    for share in (-1, 100):
        with pytest.raises(NotPossible, match="no share: say 0 to 99"):
            split(release=new, share=share)
    with pytest.raises(NotPossible, match="old is not staged"):
        split(release=old, share=5)
    with pytest.raises(CommandError, match="new is not active"):
        call_command("releases", "split", "new", "old", share=5)
    make_song("Not read yet")
    with pytest.raises(NotPossible, match="has encoded 3 of 4 songs"):
        split(release=new, share=5)


def test_the_command_splits_and_reports(two, capsys, wide):
    call_command("releases", "split", "old", "new", share=10)
    assert "new answers for 10 of a hundred people, old for the others" in capsys.readouterr().out
    call_command("releases", "list")
    assert "staged, share 10 %" in capsys.readouterr().out
    call_command("releases", "split", "old", "new", share=0)
    assert "old answers for all people" in capsys.readouterr().out


def test_a_staged_release_that_cannot_be_loaded_leaves_its_people_to_the_active_one(
    two, alice, upload, releases_folder, caplog
):
    old, new = two
    split(release=new, share=99)
    ModelRelease.objects.filter(pk=new.pk).update(sha256="0" * 64)
    post, _ = create_post(owner=alice, uploads=[upload()])
    work_off()
    assert post.requests.get().release == old
    assert "old answers in the place of new" in caplog.text
