"""Two releases side by side: the same people always get the same one, and each answers with its own vectors."""

import pytest
from django.core.management import CommandError, call_command

from socialsongs.models import (
    ModelRelease,
    PhotoAnalysis,
    RecommendationRequest,
    Song,
    SongEmbedding,
    State,
    Suggestion,
)
from socialsongs.selectors.releases import encoding_coverage
from socialsongs.services.catalogue import save_song, set_status, sync_embeddings
from socialsongs.services.posts import create_post
from socialsongs.services.releases import NotPossible, activate, pause, retire, rollback, split, stage
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases, load_serving
from workers.lanes.drain import Loop

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
        LoadedRelease(ModelRelease(pk=pk, name=name, share=share), None)
        for pk, name, share in [(1, "old", 0), (2, "new", 10)]
    )
    served = ServingReleases(old, [new])
    people = range(5000)
    tried = {person for person in people if served.for_person(person) == new}
    assert 400 < len(tried) < 600
    assert tried == {person for person in people if ServingReleases(old, [new]).for_person(str(person)) == new}
    assert served.for_person(None) == old  # nobody's
    new.release.share = 20
    more = {person for person in people if served.for_person(person) == new}
    assert tried < more  # more people, the first ones among them


def test_each_post_is_answered_by_its_owners_release(two, django_user_model, upload):
    old, new = two
    split(release=new, share=50)
    people = [django_user_model.objects.create_user(f"person{number}") for number in range(8)]
    posts = [create_post(owner=person, uploads=[upload()])[0] for person in people]
    work_off()
    expected = {post.pk: load_serving().for_person(post.owner_id).release for post in posts}
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


def test_when_a_split_ends_the_active_release_answers_for_all(two, alice, upload):
    old, new = two
    split(release=new, share=99)
    split(release=new, share=0)
    post, _ = create_post(owner=alice, uploads=[upload()])
    work_off()
    assert post.requests.get().release == old


@pytest.mark.parametrize("ends", [lambda new: activate(release=new), lambda new: retire(release=new)])
def test_activation_and_retirement_end_a_split(two, ends):
    _, new = two
    split(release=new, share=30)
    ends(new)
    new.refresh_from_db()
    assert new.share == 0


def test_what_cannot_be_split_is_said(two, make_song):
    old, new = two
    for share in (-1, 100):
        with pytest.raises(NotPossible, match="no share: give 0 to 99"):
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
    assert "Release old serves instead of new" in caplog.text


# Coverage counts songs that are encoded with today's lyrics


def edited(song):
    song.lyrics = "Other words\nentirely"
    save_song(song=song)


def edited_in_the_database(song):
    Song.objects.filter(pk=song.pk).update(lyrics="Other words\nentirely")


def added(song):
    save_song(song=Song(title="Another", artist="Somebody", lyrics="The snow", status="published"))


CHANGES = [edited, edited_in_the_database, added]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("synced", [True, False])
def test_a_release_that_was_retired_meanwhile_must_encode_what_changed(two, change, synced, capsys, wide):
    _, new = two
    total = 4 if change is added else 3
    retire(release=new)
    change(Song.objects.first())
    if synced:
        sync_embeddings()
    call_command("releases", "list")
    assert f"{total - 1}/{total}" in capsys.readouterr().out
    with pytest.raises(CommandError, match=rf"new has encoded \d of {total} songs.*retired.*releases stage new"):
        call_command("releases", "activate", "new")
    assert ModelRelease.objects.get(name="old").state == ModelRelease.State.ACTIVE
    assert ModelRelease.objects.get(name="new").state == ModelRelease.State.RETIRED
    stage(release=new)
    with pytest.raises(NotPossible, match="wait for the workers, or use --force"):
        activate(release=new)
    call_command("releases", "encode", "new", pause=True)
    assert f"paused at {total - 1} of {total} songs" in capsys.readouterr().out
    pause(release=new, paused=False)
    work_off()
    activate(release=new)
    assert encoding_coverage(release=new) == (total, total)


def test_a_song_that_was_out_of_the_catalogue_while_a_release_was_retired_counts_again(two):
    _, new = two
    song = Song.objects.first()
    set_status(songs=[song.pk], status="retired")
    retire(release=new)
    song.refresh_from_db()
    song.status = "published"
    edited(song)
    assert encoding_coverage(release=new) == (2, 3)
    with pytest.raises(NotPossible):
        activate(release=new)


def test_a_forced_release_encodes_what_changed_while_it_was_retired(two):
    _, new = two
    retire(release=new)
    edited(Song.objects.first())
    activate(release=new, force=True)
    assert SongEmbedding.objects.filter(release=new, state=State.QUEUED).count() == 1
    work_off()
    assert encoding_coverage(release=new) == (3, 3)


def test_a_release_is_not_split_before_it_has_encoded_what_changed_past_the_services(two):
    _, new = two
    edited_in_the_database(Song.objects.first())
    with pytest.raises(NotPossible, match="has encoded 2 of 3 songs"):
        split(release=new, share=5)
    sync_embeddings()
    work_off()
    split(release=new, share=5)


def test_a_rollback_is_immediate_whatever_is_still_to_be_encoded(two):
    old, new = two
    activate(release=new)
    edited(Song.objects.first())
    assert rollback() == old
    assert ModelRelease.objects.get(state=ModelRelease.State.ACTIVE) == old
    retire(release=new)
    with pytest.raises(NotPossible, match="No previous release"):
        rollback()
