"""``socialsongs_train_matcher --from-choices``: each post has a colour; its owner chooses the song of that colour."""

import copy
import random
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path

import pytest
import torch
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from PIL import Image

from recommender.card import read_card
from recommender.evaluate.click_model import Estimate, Examination
from recommender.evaluate.judged import TaggerOutput
from recommender.lyrics import parse_lyric
from recommender.pairs import read_pairs
from recommender.release import load_release, save_release
from recommender.train.from_choices import (
    ChoiceExamples,
    ChoicesConfig,
    ChoicesResult,
    ShownList,
    choice_loss,
    click_log,
    encode_songs,
    list_vectors,
    relevances,
    split_lists,
    train_and_compare,
)
from socialsongs.models import Feedback, ModelRelease, Post, PostPhoto, Song, SongEmbedding, State, Suggestion
from socialsongs.selectors.shown_lists import shown_lists
from socialsongs.services.feedback import choose_song, record_feedback
from socialsongs.services.posts import create_post
from socialsongs.services.releases import activate, register
from workers.training_lists import gather

from .releases import card, network

COLOURS = {
    "red": ((220, 30, 30), "Red light on the street\nDon't go dancing"),
    "green": ((30, 180, 40), "Green tree in the water\nThe tide comes in"),
    "blue": ((30, 40, 220), "My boat, the sea\nBlue morning by the harbour"),
    "gold": ((230, 190, 40), "Gold sun all day\nWe dance and dance"),
}
POSTS = 40


@pytest.fixture
def folder(settings, tmp_path):
    """A releases folder with one release, "small"."""
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "releases")}
    save_release(network(), card(), tmp_path / "releases")
    return tmp_path / "releases"


@pytest.fixture
def active(db, folder):
    model = load_release("small", folder=folder)
    return register(name="small", sha256=model.sha256, card=model.card)


def square(colour):
    file = BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return SimpleUploadedFile("square.png", file.getvalue())


@pytest.fixture
def songs(db, make_song):
    return {name: make_song(name, artist=name, lyrics=lyrics) for name, (_, lyrics) in COLOURS.items()}


@pytest.fixture
def posts(active, alice, songs):
    """Make posts of one photo, with all songs in random order; the song of the photo's colour is chosen."""
    lot = random.Random(1)
    made = []
    for number in range(POSTS):
        name = list(COLOURS)[number % len(COLOURS)]
        shade = tuple(max(0, value - number // 2) for value in COLOURS[name][0])
        post, _ = create_post(owner=alice, uploads=[square(shade)], caption=f"{number}")
        order = lot.sample(list(songs.values()), len(songs))
        Suggestion.objects.bulk_create(
            Suggestion(request=post.requests.get(), song=song, release=active, rank=rank, score=1.0 / rank)
            for rank, song in enumerate(order, start=1)
        )
        for song in order:
            record_feedback(post=post, user=alice, song_id=song.pk, kind="impression")
        choose_song(post=post, user=alice, song_id=songs[name].pk)
        made.append(post)
    return made


def run(**options):
    output = StringIO()
    call_command("train_matcher", from_choices=True, stdout=output, **options)
    return output.getvalue()


@pytest.mark.usefixtures("posts")
def test_what_people_choose_makes_a_better_release_that_is_staged(folder, active, songs, tmp_path):
    told = run(name="learned", min_choices=POSTS, epochs=60, export=tmp_path / "pairs.jsonl")
    assert "learned from 32 choices" in told
    assert "8 held-out choices" in told
    assert f"learned: staged. Every worker needs {folder / 'learned'}" in told

    release = ModelRelease.objects.get(name="learned")
    assert release.state == ModelRelease.State.STAGED
    assert SongEmbedding.objects.filter(release=release, state=State.QUEUED).count() == len(songs)
    assert ModelRelease.objects.get(state="active") == active

    model, old = load_release("learned", folder=folder), load_release("small", folder=folder)
    assert model.sha256 == release.sha256
    assert model.card["training"]["started_from"] == {"name": "small", "sha256": active.sha256}
    assert (model.card["training"]["choices"], model.card["training"]["held_out"]) == (32, 8)
    assert model.card["training"]["epochs"] == 60
    assert model.card["figures"]["choices: R@1"] > 0.9
    assert first_songs(model) == list(COLOURS) != first_songs(old)
    for part in ("tagger", "lyrics"):
        before, after = (getattr(one.network, part).state_dict() for one in (old, model))
        assert all(torch.equal(before[key], after[key]) for key in before)

    pairs = read_pairs(tmp_path / "pairs.jsonl")
    assert len(pairs) == POSTS
    assert {pair.lyrics for pair in pairs} == {lyrics for _, lyrics in COLOURS.values()}
    eta = model.card["training"]["eta"]
    assert sorted({pair.weight for pair in pairs}) == pytest.approx([1, 2**eta, 3**eta, 4**eta], abs=0.01)
    with PostPhoto.objects.get(post__caption="0").image.open() as stored:
        assert pairs[0].image.read_bytes() == stored.read()


def first_songs(model):
    """Return the best song for a photo of each colour."""
    views = model.analyse([Image.new("RGB", (64, 64), colour) for colour, _ in COLOURS.values()])
    encoded = model.encode([lyrics for _, lyrics in COLOURS.values()])
    return [list(COLOURS)[model.relevance(view.embedding, encoded).argmax()] for view in views]


@pytest.mark.usefixtures("posts")
def test_what_is_known_already_makes_no_better_release(folder):
    run(name="learned", min_choices=POSTS, epochs=60)
    with pytest.raises(CommandError, match="already"):
        run(name="learned")
    learned = ModelRelease.objects.get(name="learned")
    activate(release=learned, force=True)
    with pytest.raises(CommandError, match="There are 0 choices of songs that learned suggested"):
        run()
    for rows in (Suggestion.objects, Feedback.objects):
        rows.update(release=learned)
    told = run(name="again", min_choices=POSTS, epochs=60)
    assert "Not better than learned: the estimated choose rate is not higher beyond chance. Nothing is written." in told
    assert not (folder / "again").exists()
    assert not ModelRelease.objects.filter(name="again").exists()


@pytest.mark.usefixtures("posts")
def test_another_folder_gets_the_release_without_staging(tmp_path):
    told = run(name="learned", min_choices=POSTS, epochs=60, out=tmp_path / "elsewhere")
    assert told.endswith(f"learned: written to {tmp_path / 'elsewhere'}\n")
    assert read_card("learned", tmp_path / "elsewhere")["training"]["choices"] == 32
    assert not ModelRelease.objects.filter(name="learned").exists()


@pytest.mark.usefixtures("active")
def test_too_few_choices_are_reported(ready_post):
    with pytest.raises(CommandError, match=r"There are 0 choices of .* suggested, at least 300 are needed"):
        run()


def test_lists_whose_photo_or_words_are_gone_are_left_out(posts, songs, active, folder):
    photo = PostPhoto.objects.get(post=posts[0]).image
    photo.storage.delete(photo.name)
    Song.objects.filter(title="gold").update(lyrics="")
    Post.objects.get(pk=posts[1].pk).delete()
    gathered = gather(load_release("small", folder=folder), shown_lists(release=active, limit=1000))
    assert gathered.unusable == 1 + POSTS // 4
    assert len(gathered.examples.lists) == POSTS - 2 - POSTS // 4
    assert len(gathered.lyrics) == 3
    assert {len(shown.songs) for shown in gathered.examples.lists} == {3}
    with pytest.raises(CommandError, match=r"There are 28 choices with photos and lyrics .*, at least 39"):
        run(min_choices=39)
    for image in PostPhoto.objects.all():
        image.image.storage.delete(image.image.name)
    Song.objects.update(lyrics="")
    with pytest.raises(CommandError, match="There are 0 choices with photos and lyrics"):
        run(min_choices=10)


def test_private_posts_can_be_left_out(posts):
    Post.objects.filter(pk__in=[post.pk for post in posts[:3]]).update(visibility="public")
    with pytest.raises(CommandError, match="There are 3 choices"):
        run(public_only=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "small"}, "a release 'small' already"),
        ({"name": "not good"}, "letters, digits"),
        ({"name": "x" * 65}, "at most 64"),
        ({"epochs": 0}, "at least 1"),
        ({"lists": 0}, "at least 1"),
        ({"test_share": 0.95}, "from 0.1 to 0.9"),
        ({"min_choices": 3}, "at least 10"),
        ({"out": Path("/dev/null/folder")}, "cannot be created"),
    ],
)
@pytest.mark.usefixtures("active")
def test_it_says_what_is_wrong_with_an_option(options, says):
    with pytest.raises(CommandError, match=says):
        run(**options)


@pytest.mark.django_db
def test_without_an_active_release_there_is_nothing_to_start_from(folder):
    with pytest.raises(CommandError, match="No model release is active"):
        run()


# The learner alone


def lists(choices):
    """Return lists of three songs; ``chosen``: the chosen place of each, or None."""
    return [ShownList([row], [0, 1, 2], [1, 2, 3], [0.5, 0.4, 0.1], chosen) for row, chosen in enumerate(choices)]


@pytest.fixture
def examples(model):
    photos = model.network.reference
    inputs = TaggerOutput(torch.rand(8, len(model.tags)), torch.rand(8, 1280))
    songs = encode_songs(model.network, [parse_lyric(lyrics) for _, lyrics in COLOURS.values()])
    assert len(photos) == 8
    return ChoiceExamples(lists([0, None, 1, 2, None, 1, 0, 2]), inputs, songs)


def test_the_newest_choices_are_held_out(examples):
    learned, held_out = split_lists(examples.lists, 0.34)
    assert (len(learned), len(held_out)) == (6, 2)
    assert split_lists(lists([None, None]), 0.5) == (lists([None, None]), [])


def test_lists_become_a_table():
    shown = [ShownList([0], [4, 7], [1, 3], [0.5, 0.2], chosen=1), ShownList([1], [2], [1], [0.7])]
    table = click_log(shown)
    assert table.ranks.tolist() == [[1, 3], [1, 0]]
    assert table.scores.tolist() == [[0.5, 0.2], [0.7, 0.0]]
    assert table.chosen.tolist() == [[False, True], [False, False]]


def test_several_photos_count_by_their_mean(model, examples):
    each = model.network.embed_photos(examples.inputs.logits, examples.inputs.features)
    found = list_vectors(model.network, examples.inputs, [ShownList([2, 5], [], [], []), ShownList([7], [], [], [])])
    assert torch.allclose(found, torch.stack([each[[2, 5]].mean(0), each[7]]), atol=1e-6)


def test_the_relevance_in_training_is_the_one_that_ranks(model, examples):
    photos = model.network.reference
    encoded = model.encode([lyrics for _, lyrics in COLOURS.values()])
    found = relevances(model.network, photos, examples.songs, [3, 0])
    for row, photo in zip(found, photos.numpy(), strict=True):
        assert row == pytest.approx(model.relevance(photo, [encoded[3], encoded[0]]), abs=0.02)


def test_a_choice_far_down_weighs_more(model, examples):
    first, last = lists([0, 2])

    def loss(eta, most=10.0):
        look = Examination(eta, 0.1, 9)
        return choice_loss(model.network, examples, [first, last], look, most).item()

    assert loss(0.0) == pytest.approx(loss(0.9, most=1.0))
    assert loss(0.0) != pytest.approx(loss(0.9), abs=1e-4)


def test_learning_leaves_the_old_network_as_it_is(model, examples):
    before = copy.deepcopy(model.network.state_dict())
    found = train_and_compare(model.network, examples, ChoicesConfig(test_share=0.34, epochs=1))
    assert all(torch.equal(before[key], value) for key, value in model.network.state_dict().items())
    assert not torch.equal(before["matcher.stage_one.weight"], found.network.matcher.stage_one.weight)
    assert (found.learned, found.held_out) == (4, 2)


def test_better_means_a_higher_choose_rate_without_losing_retrieval(model):
    sure, unsure = Estimate(0.05, 0.01, 0.09), Estimate(0.05, -0.01, 0.09)
    found = ChoicesResult(model.network, Examination(0.6, 0.3, 0), 80, 20, {}, {}, sure, Estimate(-0.1, -0.15, -0.05))
    assert found.better
    assert not replace(found, lead=unsure).better
    assert "R@10 fell" in replace(found, depth_lead=Estimate(-0.4, -0.5, -0.3)).why_not
