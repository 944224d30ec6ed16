"""The admin: curating songs, rules, posts and releases as staff."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from socialsongs.models import (
    ApiClient,
    Event,
    ExternalUser,
    Feedback,
    ModelRelease,
    PhotoAnalysis,
    Post,
    RecommendationRequest,
    Rule,
    Scope,
    Song,
    SongEmbedding,
    State,
    Suggestion,
    Taste,
    WebhookDelivery,
    WebhookEndpoint,
    Worker,
)
from socialsongs.services.access import record_access
from socialsongs.services.api_keys import make_key
from socialsongs.services.catalogue import save_song
from socialsongs.services.feedback import choose_song, record_impressions
from socialsongs.services.posts import create_post, delete_post
from socialsongs.services.taste import offer_taste

from .clips import wav

pytestmark = pytest.mark.django_db
SONGS = "/admin/socialsongs/song/"


@pytest.fixture
def desk(client, staff):
    client.force_login(staff)
    return client


def test_songs_can_be_searched_and_filtered(desk, release, make_song):
    make_song("Harbour")
    make_song("Desert", lyrics="sand", status="draft")
    SongEmbedding.objects.filter(song__title="Desert").update(state="failed", reason="lyrics_unreadable")
    assert "Desert" not in desk.get(SONGS, {"q": "tide"}).content.decode().split("id_changelist")[-1]
    for query in ({"encoding": "failed"}, {"status__exact": "draft"}, {"q": "sand"}):
        page = desk.get(SONGS, query).content.decode()
        assert "Desert</a>" in page, query
        assert "Harbour</a>" not in page, query
    assert "lyrics unreadable" in desk.get(SONGS).content.decode()


def save(desk, song, **changes):
    form = desk.get(f"{SONGS}{song.pk}/change/").context["adminform"].form
    values = {name: value for name, value in form.initial.items() if value is not None}
    empty = dict.fromkeys(["moods", "themes", "markets", "preview_file"], "")
    return desk.post(f"{SONGS}{song.pk}/change/", values | empty | changes)


def test_a_saved_song_is_encoded_again(desk, release, make_song):
    song = make_song()
    SongEmbedding.objects.update(state="ready")
    assert save(desk, song, lyrics="New words", status="draft").status_code == 302
    row = SongEmbedding.objects.get()
    assert (row.state, row.status) == ("queued", "draft")


def test_a_saved_song_is_stored_as_requests_name_it(desk, release, make_song):
    song = make_song()
    assert save(desk, song, language="PT-br", markets="de, At", lyrics="La \r\n\r\n\r\n\r\nla").status_code == 302
    song.refresh_from_db()
    assert (song.language, song.markets, song.lyrics) == ("pt-BR", ["DE", "AT"], "La\n\nla")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("language", "xx"),
        ("markets", "D1"),
        ("markets", "JJJ"),
        ("isrc", "US123"),
        ("lyrics", "la " * 40_000),
        ("title", " "),
    ],
)
def test_what_is_wrong_with_a_song_is_an_error_of_the_form(desk, make_song, field, value):
    song = make_song()
    response = save(desk, song, **{field: value})
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]


def test_lyrics_are_measured_as_they_are_stored(desk, make_song):
    assert save(desk, make_song(), lyrics="la \r\n" * 25_000).status_code == 302


def test_a_preview_goes_when_it_is_replaced_and_with_its_song(make_song, django_capture_on_commit_callbacks):
    song = make_song(preview_file=ContentFile(wav(), "clip.wav"))
    storage, first = song.preview_file.storage, song.preview_file.name
    with django_capture_on_commit_callbacks(execute=True):
        save_song(song=song)
    assert storage.exists(first)
    song.preview_file = ContentFile(wav(), "clip.wav")
    with django_capture_on_commit_callbacks(execute=True):
        save_song(song=song)
    second = song.preview_file.name
    assert (storage.exists(first), storage.exists(second)) == (False, True)
    with django_capture_on_commit_callbacks(execute=True):
        song.delete()
    assert not storage.exists(second)


def test_actions_publish_and_retire(desk, release, make_song):
    songs = [make_song(title, status="draft") for title in "AB"]
    chosen = {"_selected_action": [str(song.pk) for song in songs]}
    desk.post(SONGS, {"action": "publish", **chosen})
    assert set(Song.objects.values_list("status", flat=True)) == {"published"}
    assert set(SongEmbedding.objects.values_list("status", flat=True)) == {"published"}
    desk.post(SONGS, {"action": "retire", **chosen})
    assert set(SongEmbedding.objects.values_list("status", flat=True)) == {"retired"}


def test_the_list_of_songs_asks_a_fixed_number_of_queries(desk, release, make_song, django_assert_max_num_queries):
    for number in range(30):
        make_song(f"Song {number}")
    with django_assert_max_num_queries(12):
        assert desk.get(SONGS).status_code == 200


def test_a_post_shows_tags_and_suggestions_with_reasons(desk, ready_post):
    page = desk.get(f"/admin/socialsongs/post/{ready_post.pk}/change/").content.decode()
    for text in ("harbor 0.90", "Song 2 - The Ferry Hands", "The tide comes in", "harbor 0.50", "written-down"):
        assert text in page
    assert desk.get("/admin/socialsongs/post/", {"q": "alice"}).content.decode().count("/photos/0") == 1


def test_suggestions_show_how_they_came_in_and_by_which_rules(desk, ready_post):
    rule = {"tag": "Launch week", "kind": "boost", "weight": 1.0}
    Suggestion.objects.filter(rank=1).update(origin="exploration")
    for suggestion in Suggestion.objects.filter(rank=2):
        suggestion.reasons = [rule, *suggestion.reasons]
        suggestion.save()
    asked = RecommendationRequest.objects.get()
    asked.parameters, asked.notice, asked.confident = {"genre": "shanty"}, "fewer_songs", False
    asked.save()
    request_page = desk.get(f"/admin/socialsongs/recommendationrequest/{asked.pk}/change/").content.decode()
    for page in (desk.get(f"/admin/socialsongs/post/{ready_post.pk}/change/").content.decode(), request_page):
        assert "<td>Exploration</td><td></td>" in page
        assert "<td>harbor 0.50</td><td>Match</td><td>boost: Launch week</td>" in page
    for text in ("&quot;genre&quot;: &quot;shanty&quot;", "fewer_songs", "icon-no"):
        assert text in request_page


def test_failed_posts_are_retried(desk, ready_post):
    Post.objects.update(state=State.FAILED, reason="attempts_exhausted")
    desk.post("/admin/socialsongs/post/", {"action": "retry", "_selected_action": [str(ready_post.pk)]})
    assert Post.objects.get().state == State.QUEUED


@pytest.fixture
def everything(ready_post, alice, staff, upload, release):
    """Make a row in every table that the admin shows, and feedback whose post was deleted."""
    song = Suggestion.objects.get(rank=1).song
    gone, _ = create_post(owner=alice, uploads=[upload()])
    asked = gone.requests.get()
    Suggestion.objects.create(request=asked, song=song, release=release, rank=1, score=1.0)
    record_impressions(request=asked, shown=asked.suggestions.all(), user=alice)
    delete_post(post=gone)
    choose_song(post=ready_post, user=alice, song_id=song.pk)
    Rule.objects.create(name="Summer", action="block", genre="pop", tag="beach", market="DE")
    offer_taste(user=alice)
    now = timezone.now()
    Worker.objects.create(name="inference@here", host="here", pid=1, started_at=now, seen_at=now, problem="No release")
    record_access(reader=staff, posts=[ready_post], door="api")
    RecommendationRequest.objects.create(text="rain", release=release, parameters={"genre": "pop"}, notice="no_songs")
    client = ApiClient.objects.create(name="A platform", scopes=Scope.values)
    make_key(client=client, name="server", scopes=Scope.values, expires_at=None)
    ExternalUser.objects.create(client=client, external_id="u-1", user=alice, made=False)
    endpoint = WebhookEndpoint.objects.create(client=client, url="https://platform.example/hook", salt="0" * 32)
    event = Event.objects.create(kind=Event.Kind.SONG_CHOSEN, post=ready_post, song=song.pk)
    WebhookDelivery.objects.create(event=event, endpoint=endpoint)


def test_a_live_worker_that_hears_no_wake_ups_is_shown_with_the_reason(desk, db):
    now = timezone.now()
    Worker.objects.create(name="inference@here", broker="another", host="here", pid=1, started_at=now, seen_at=now)
    page = desk.get(reverse("admin:socialsongs_worker_changelist")).content.decode()
    assert "socialsongs-elsewhere" in page
    assert "inference@here listens on another broker" in page


SHOWN = [
    "apiclient", "apikey", "event", "externaluser", "feedback", "modelrelease", "post", "postaccess",
    "recommendationrequest", "rule", "song", "taste", "webhookdelivery", "webhookendpoint", "worker",
]  # fmt: skip


@pytest.mark.parametrize("model", SHOWN)
def test_every_page_opens(desk, everything, model):
    listed = desk.get(reverse(f"admin:socialsongs_{model}_changelist"))
    assert listed.status_code == 200
    rows = list(apps.get_model("socialsongs", model).objects.all())
    assert rows
    for row in rows:
        url = reverse(f"admin:socialsongs_{model}_change", args=[row.pk])
        assert url in listed.content.decode()
        assert desk.get(url).status_code == 200


def test_no_table_of_the_admin_is_left_out(desk, release):
    page = desk.get("/admin/").content.decode()
    for model in apps.get_app_config("socialsongs").get_models():
        listed = f"/admin/socialsongs/{model._meta.model_name}/" in page
        assert listed == (model._meta.model_name in SHOWN), model


def test_feedback_of_nobody_is_listed(desk, everything):
    assert Feedback.objects.filter(user=None, request=None).count() == 1
    page = desk.get("/admin/socialsongs/feedback/").content.decode()
    assert page.count("Song 1 - The Ferry Hands") == 2


def test_a_release_shows_its_coverage(desk, release, make_song):
    make_song()
    assert "0 of 1" in desk.get(f"/admin/socialsongs/modelrelease/{release.pk}/change/").content.decode()


def test_deleting_a_post_or_its_owner_removes_the_files(
    desk, ready_post, alice, upload, django_capture_on_commit_callbacks
):
    other, _ = create_post(owner=alice, uploads=[upload()])
    first, second = (post.photos.get().image for post in (ready_post, other))
    with django_capture_on_commit_callbacks(execute=True):
        desk.post(f"/admin/socialsongs/post/{ready_post.pk}/delete/", {"post": "yes"})
    assert not first.storage.exists(first.name)
    assert second.storage.exists(second.name)
    with django_capture_on_commit_callbacks(execute=True):
        alice.delete()
    assert not second.storage.exists(second.name)


def test_a_post_s_own_request_is_not_deleted_without_it(desk, ready_post):
    own = ready_post.requests.get()
    more = RecommendationRequest.objects.create(post=ready_post, text="calm")
    listed, confirmed = "/admin/socialsongs/recommendationrequest/", {"post": "yes"}
    for request in (own, more):
        desk.post(f"{listed}{request.pk}/delete/", confirmed)
    assert ready_post.requests.get() == own
    desk.post(listed, {"action": "delete_selected", "_selected_action": [str(own.pk)], **confirmed})
    assert ready_post.requests.get() == own
    desk.post(f"/admin/socialsongs/post/{ready_post.pk}/delete/", confirmed)
    assert not RecommendationRequest.objects.exists()


def test_a_post_shows_its_own_and_the_newest_requests(desk, ready_post):
    for number in range(25):
        RecommendationRequest.objects.create(post=ready_post, text=f"wish {number}.")
    page = desk.get(f"/admin/socialsongs/post/{ready_post.pk}/change/").content.decode()
    assert "Default" in page
    assert "wish 24." in page
    assert "wish 6." in page
    assert "wish 5." not in page


def test_who_may_only_look_changes_nothing(client, bob, release, make_song, ready_post):
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_song", "view_post"]))
    client.force_login(bob)
    song = make_song()
    client.post(SONGS, {"action": "retire", "_selected_action": [str(song.pk)]})
    assert Song.objects.get(pk=song.pk).status == "published"
    Post.objects.update(state=State.FAILED)
    client.post("/admin/socialsongs/post/", {"action": "retry", "_selected_action": [str(ready_post.pk)]})
    assert Post.objects.get().state == State.FAILED


RULES = "/admin/socialsongs/rule/"


def rule_values(**values):
    empty = dict.fromkeys(["song", "genre", "tag", "market"], "")
    times = dict.fromkeys(["starts_at_0", "starts_at_1", "ends_at_0", "ends_at_1"], "")
    return {"name": "Summer", "action": "boost", "strength": "1.0", "enabled": "on", **empty, **times, **values}


def test_a_rule_is_made_and_listed_with_what_it_is_about(desk, make_song):
    song = make_song("Beach Song")
    assert desk.post(f"{RULES}add/", rule_values(song=song.pk, tag="beach", market="DE")).status_code == 302
    desk.post(f"{RULES}add/", rule_values(name="More ballads", genre="ballad"))
    desk.post(f"{RULES}add/", rule_values(name="Silence", action="block"))
    page = desk.get(RULES).content.decode()
    for text in ("Beach Song - ", "photos with beach, market DE", "genre ballad", "every song", "everywhere"):
        assert text in page
    assert "Summer" in desk.get(RULES, {"action__exact": "boost"}).content.decode()
    assert "Summer</a>" not in desk.get(RULES, {"action__exact": "block"}).content.decode()


def test_a_rule_that_makes_no_sense_says_why(desk):
    page = desk.post(f"{RULES}add/", rule_values(action="pin", market="yy")).content.decode()
    assert "Choose the song to pin." in page
    assert "no country code of ISO 3166" in page
    assert not Rule.objects.exists()


@pytest.mark.parametrize("written", ["UK", "gbr", " gb "])
def test_the_market_of_a_rule_is_kept_as_requests_have_it(desk, written):
    desk.post(f"{RULES}add/", rule_values(action="block", market=written))
    assert Rule.objects.get().market == "GB"


def test_a_tag_that_no_photo_can_have_is_pointed_out(desk, release):
    ModelRelease.objects.update(card={"tags": [{"name": "beach", "kind": "scene"}]})
    known = desk.post(f"{RULES}add/", rule_values(action="block", tag="Beach"), follow=True).content.decode()
    assert "finds no" not in known
    typo = desk.post(f"{RULES}add/", rule_values(action="block", tag="beech"), follow=True).content.decode()
    assert "The active release has no tag “beech”" in typo
    assert Rule.objects.count() == 2


def test_a_rule_shows_whether_it_counts_now(desk):
    now, hour = timezone.now(), timedelta(hours=1)
    for name, values in {
        "active": {"starts_at": now - hour, "ends_at": now + hour},
        "scheduled": {"starts_at": now + hour},
        "over": {"ends_at": now - hour},
        "off": {"enabled": False, "starts_at": now - hour},
    }.items():
        Rule.objects.create(name=f"A rule, {name}", action="block", **values)
    rows = desk.get(RULES).content.decode().split("<tr>")
    for name in ("active", "scheduled", "over", "off"):
        (row,) = [row for row in rows if f"A rule, {name}<" in row]
        assert f">{name}</span>" in row


def test_the_song_of_a_rule_is_found_by_its_name(desk, make_song):
    make_song("Beach Song")
    found = desk.get(
        "/admin/autocomplete/",
        {"app_label": "socialsongs", "model_name": "rule", "field_name": "song", "term": "beach"},
    )
    assert [result["text"] for result in found.json()["results"]] == ["Beach Song - The Ferry Hands"]


TASTES = "/admin/socialsongs/taste/"


def test_taste_is_offered_turned_off_and_begun_anew(desk, alice):
    desk.post(f"{TASTES}add/", {"user": alice.pk})
    taste = Taste.objects.get()
    assert (taste.user, taste.enabled) == (alice, True)
    assert "already exists" in desk.post(f"{TASTES}add/", {"user": alice.pk}).content.decode()
    desk.post(f"{TASTES}{taste.pk}/change/", {})  # the box is not ticked
    assert not Taste.objects.get().enabled
    desk.post(f"{TASTES}{taste.pk}/change/", {"enabled": "on"})
    assert not Taste.objects.get().enabled  # theirs to undo
    desk.post(TASTES, {"action": "reset", "_selected_action": [taste.pk]})
    assert Taste.objects.get().since > taste.since


def test_songs_are_offered_when_nothing_fits(desk, release, make_song):
    songs = [make_song(title) for title in "AB"]
    make_song("C")
    chosen = {"_selected_action": [str(song.pk) for song in songs]}
    page = desk.post(SONGS, {"action": "offer", **chosen}, follow=True).content.decode()
    assert "2 songs are now offered" in page
    assert set(Song.objects.filter(editorial=True)) == set(songs)
    assert desk.get(SONGS, {"editorial__exact": "1"}).context["cl"].result_count == 2
    desk.post(SONGS, {"action": "no_longer_offer", "_selected_action": [str(songs[0].pk)]})
    assert Song.objects.get(editorial=True) == songs[1]


def test_a_song_shows_what_is_like_it_and_which_posts_it_fits(desk, ready_post, make_song):
    song, other = make_song("Sea"), make_song("Ocean")
    page = desk.get(f"{SONGS}{song.pk}/change/").content.decode()
    assert "has not been encoded yet" in page
    SongEmbedding.objects.filter(song__in=[song, other]).update(stage_one=[1.0] + [0.0] * 128)
    PhotoAnalysis.objects.update(direction=[1.0] + [0.0] * 128)
    Post.objects.update(visibility="public")
    page = desk.get(f"{SONGS}{song.pk}/change/").content.decode()
    assert f'<a href="{SONGS}{other.pk}/change/">Ocean - The Ferry Hands</a> (1.00)' in page
    assert f'<a href="/admin/socialsongs/post/{ready_post.pk}/change/"><img' in page


def test_a_new_song_has_a_form(desk):
    assert desk.get(f"{SONGS}add/").status_code == 200


def test_songs_are_searched_by_words_and_by_isrc(staff, client, make_song):
    make_song("Harbour Lights", isrc="GBAYE0601498")
    make_song("Snow Road", lyrics="We walk the winter road")
    client.force_login(staff)
    page = "/admin/socialsongs/song/"
    for term, title, other in (
        ("gulls", "Harbour Lights", "Snow Road"),
        ("wint", "Snow Road", "Harbour Lights"),
        ("gbaye0601498", "Harbour Lights", "Snow Road"),
    ):
        found = client.get(page, {"q": term}).content.decode()
        assert title in found
        assert other not in found


def test_codes_are_mapped_in_the_form_and_that_is_said(desk, release, make_song):
    song = make_song()
    response = save(desk, song, language="eng", markets="UK, DEU", isrc="us-s1z-99-00001")
    assert response.status_code == 302
    song.refresh_from_db()
    assert (song.language, song.markets, song.isrc) == ("en", ["GB", "DE"], "USS1Z9900001")
    page = desk.get(response.url).content.decode()
    assert "Language: &#x27;eng&#x27; is kept as &#x27;en&#x27;." in page
    assert "Markets: &#x27;UK&#x27; is kept as &#x27;GB&#x27;." in page
