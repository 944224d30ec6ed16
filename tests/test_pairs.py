"""(image, song) pairs: parsing, figures, and training on coloured squares with a lyric for each colour."""

import csv
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recommender.__main__ import main
from recommender.card import read_card
from recommender.evaluate import shuttersong
from recommender.evaluate.ranking_metrics import pair_figures
from recommender.evaluate.retrieval import evaluate_pairs, retrieval
from recommender.inputs import InputError
from recommender.pairs import Pair, distinct, open_images, read_pairs
from recommender.release import load_release
from recommender.train.from_pairs import (
    PairsConfig,
    contrastive_loss,
    pair_loss,
    prepare_pair_examples,
    split_pairs,
    train,
)
from recommender.train.records import TrainingLog

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {
    "red": ((220, 30, 30), "Red light on the street\nDon't go dancing"),
    "green": ((30, 180, 40), "Green tree in the water\nThe tide comes in"),
    "blue": ((30, 40, 220), "My boat, the sea\nBlue morning by the harbour"),
    "gold": ((230, 190, 40), "Gold sun all day\nWe dance and dance"),
    "black": ((15, 15, 15), "No moon at night\nBlack road away from home"),
    "white": ((245, 245, 245), "Snow on the road\nSnow on the tree"),
}
FOREIGN = "Снег на дороге\nСнег на дереве\nВетер и луна над морем"
FIGURES = ["R@1", "R@5", "R@10", "Med r", "MRR"]


def write(path, rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Make three images of each colour; return the rows that pair them with the colour's lyric."""
    folder = tmp_path_factory.mktemp("squares")
    rows = []
    for name, (colour, lyrics) in COLOURS.items():
        for place in (0, 1, 2):
            shade = tuple(max(0, value - 6 * place) for value in colour)
            Image.new("RGB", (64, 64), shade).save(folder / f"{name}{place}.png")
            rows.append({"image": f"{name}{place}.png", "lyrics": lyrics})
    return folder, rows


@pytest.fixture(scope="module")
def pairs_file(squares):
    folder, rows = squares
    return write(folder / "pairs.jsonl", rows)


@pytest.fixture(scope="module")
def dev_file(squares):
    """Two of the songs are held out."""
    folder, rows = squares
    named = [row | {"split": "dev" if row["image"][0] == "b" else "train"} for row in rows]
    return write(folder / "dev.jsonl", named)


@pytest.fixture
def config(dev_file, releases, tmp_path):
    return PairsConfig(dev_file, tmp_path / "out", release="small", releases=releases, epochs=3, rate=3e-3)


def command(pairs, out, releases, **options):
    options = {"pairs": pairs, "out": out, "releases": releases, "release": "small", **options}
    return ["train", "matcher", *(str(part) for key, value in options.items() for part in (f"--{key}", value))]


def figures_file(out):
    with (out / "pairs.csv").open(newline="") as file:
        return [(int(at), name, float(value)) for _, at, name, value in csv.reader(file)]


# Reading


def refusal(path):
    with pytest.raises(InputError) as refused:
        read_pairs(path)
    return str(refused.value)


def test_a_pair_has_its_lyrics_in_the_line_or_in_a_file(squares, tmp_path):
    folder, _ = squares
    (tmp_path / "song.txt").write_text("Snow on the road\n", encoding="utf-8-sig")
    image = os.path.relpath(folder / "red0.png", tmp_path)
    rows = [
        {"image": image, "lyrics": " Red light\u2028tonight ", "weight": 2, "split": "dev"},
        {"image": str(folder / "red0.png"), "song": "song.txt"},
        "",
    ]
    assert read_pairs(write(tmp_path / "pairs.jsonl", rows)) == [
        Pair((folder / "red0.png").resolve(), "Red light\u2028tonight", 2.0, "dev"),
        Pair((folder / "red0.png").resolve(), "Snow on the road", 1.0, None),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"image": ', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be a JSON object"),
        ({"lyrics": "Red light"}, "'image' is missing"),
        ({"image": "red0.png"}, "either 'lyrics'"),
        ({"image": "red0.png", "lyrics": "Red light", "song": "song.txt"}, "either 'lyrics'"),
        ({"image": 7, "lyrics": "Red light"}, "'image' must be a string"),
        ({"image": "red0.png", "lyrics": None}, "'lyrics' must be a string"),
        ({"image": "red0.png", "song": ["a"]}, "'song' must be a string"),
        ({"image": "pink.png", "lyrics": "Red light"}, "'image' names 'pink.png'"),
        ({"image": ".", "lyrics": "Red light"}, "'image' names '.'"),
        ({"image": "red0.png", "song": "Red light " * 500}, "'song' names"),
        ({"image": "red0.png", "song": "\0"}, "'song' names"),
        *(
            ({"image": "red0.png", "lyrics": "Red light", "weight": weight}, "'weight' is")
            for weight in (0, -1, "2", True, None, math.nan, math.inf)
        ),
        ({"image": "red0.png", "lyrics": "Red light", "split": "valid"}, "give train, dev, test"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_it_rejects_a_wrong_line_and_names_it(squares, row, says):
    folder, rows = squares
    path = write(folder / "wrong.jsonl", [rows[0], row])
    assert refusal(path).startswith(f"{path}, line 2: ")
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "there are no pairs"), (b"\xff\xfe", "not UTF-8"), (None, "No such file")]
)
def test_it_rejects_a_file_without_pairs(tmp_path, content, says):
    path = tmp_path / "pairs.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert says in refusal(path)
    assert str(path) in refusal(path)


def test_it_rejects_a_song_file_that_is_no_text(squares):
    folder, _ = squares
    path = write(folder / "wrong.jsonl", [{"image": "red0.png", "song": "red0.png"}])
    assert "red0.png: not UTF-8" in refusal(path)


def test_it_rejects_an_image_file_that_is_no_image(tmp_path):
    path = tmp_path / "red.png"
    path.write_text("red")
    with pytest.raises(InputError, match=r"not a readable photo.*leave out its pairs") as refused:
        open_images([path])
    assert str(path) in str(refused.value)


# A folder as Shuttersong's


@pytest.fixture
def shuttersong_folder(squares, tmp_path):
    """Two pairs; the test writes the manifest."""
    folder, _ = squares
    for name in ("images", "lyrics"):
        (tmp_path / name).mkdir()
    for name in ("red", "blue"):
        (tmp_path / "images" / f"{name}.png").write_bytes((folder / f"{name}0.png").read_bytes())
        (tmp_path / "lyrics" / f"{name}.txt").write_text(COLOURS[name][1] + "\n")
    return tmp_path


MANIFESTS = {
    "manifest.csv": "image,clip,lyrics,weight,split\nred.png,red.mp3,red.txt,2.5,dev\n"
    "images/blue.png,,lyrics/blue.txt,,\n",
    "manifest.tsv": "image\tclip\tlyrics\tweight\tsplit\nred.png\t\tred.txt\t2.5\tdev\nblue.png\t\tblue.txt\n",
    "manifest.jsonl": '{"image": "red.png", "clip": "red.mp3", "lyrics": "red.txt", "weight": 2.5, "split": "dev"}\n'
    '{"image": "blue.png", "lyrics": "blue.txt", "split": null}',
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_folder_is_read_by_its_manifest(shuttersong_folder, name):
    (shuttersong_folder / name).write_text(MANIFESTS[name])
    images = (shuttersong_folder / "images").resolve()
    assert read_pairs(shuttersong_folder) == [
        Pair(images / "red.png", COLOURS["red"][1], 2.5, "dev"),
        Pair(images / "blue.png", COLOURS["blue"][1], 1.0, None),
    ]


def test_the_command_writes_the_folder_as_a_file_of_pairs(shuttersong_folder):
    (shuttersong_folder / "manifest.csv").write_text(MANIFESTS["manifest.csv"])
    out = shuttersong_folder / "lyrics" / "pairs.jsonl"
    assert shuttersong.main([str(shuttersong_folder), "--out", str(out)]) == 0
    assert read_pairs(out) == read_pairs(shuttersong_folder)
    assert json.loads(out.read_text().split("\n")[0])["image"] == "../images/red.png"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("manifest.csv", "image,clip,lyrics\nred.png,,\n", "manifest.csv, line 2: 'lyrics' is missing"),
        ("manifest.csv", "picture,lyrics\nred.png,red.txt\n", "manifest.csv, line 2: 'image' is missing"),
        ("manifest.csv", "image,lyrics\npink.png,red.txt\n", "line 2: 'image' names 'images/pink.png'"),
        ("manifest.tsv", "image\tlyrics\tweight\nred.png\tred.txt\theavy\n", "line 2: 'weight' is 'heavy'"),
        ("manifest.csv", f'image,lyrics\n"{"a" * 200_000}",red.txt\n', "save it as plain CSV"),
        ("manifest.csv", "image,lyrics\n", "there are no pairs"),
        ("manifest.jsonl", "[1]", "manifest.jsonl, line 1: a pair must be a JSON object"),
        ("list.csv", "image,lyrics\n", "has 0 manifests; give one of manifest.csv"),
    ],
)
def test_it_rejects_a_wrong_folder(shuttersong_folder, capsys, name, text, says):
    (shuttersong_folder / name).write_text(text)
    assert shuttersong.main([str(shuttersong_folder), "--out", str(shuttersong_folder / "pairs.jsonl")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert str(shuttersong_folder) in said


def test_it_rejects_a_folder_with_two_manifests(shuttersong_folder):
    for name in ("manifest.csv", "manifest.tsv"):
        (shuttersong_folder / name).write_text(MANIFESTS[name])
    assert "has 2 manifests" in refusal(shuttersong_folder)


def test_it_rejects_a_place_that_cannot_be_written(shuttersong_folder, capsys):
    (shuttersong_folder / "manifest.csv").write_text(MANIFESTS["manifest.csv"])
    assert shuttersong.main([str(shuttersong_folder), "--out", str(shuttersong_folder / "no" / "pairs.jsonl")]) == 2
    assert "No such file" in capsys.readouterr().err


# Figures


def test_the_figures_are_those_of_each_image_and_each_song_once(pairs_file, model):
    pairs = read_pairs(pairs_file)
    found = evaluate_pairs(model, [*pairs, pairs[0]])
    views = [model.analyse(open_images([pair.image]))[0].embedding for pair in pairs]
    songs = model.encode([lyrics for _, lyrics in COLOURS.values()])
    scores = np.stack([model.relevance(view, songs) for view in views]).astype(float)
    assert found["image2song"] == pair_figures(scores, np.arange(18) // 3)
    assert list(found["song2image"]) == FIGURES


def test_the_best_placed_partner_counts(model):
    photo, songs = (
        model.view_text("Snow on the road").embedding,
        model.encode(["The sea", "Snow on the tree", "We dance"]),
    )
    order = np.argsort(-model.relevance(photo, songs))
    for partners, rank in (([0], 1), ([1, 2], 2), ([2], 3), ([0, 2], 1)):
        together = np.isin(np.arange(3), order[partners])[None]
        assert retrieval(model, photo[None], songs, together)["image2song"]["MRR"] == 1 / rank


def test_an_image_that_is_near_every_song_is_not_first_for_every_song(model):
    """The first photo has higher raw relevance to every song; the second stands out more at its own song."""

    class Known:
        mean_score = 0.0

    class Scorer:
        def relevance(self, photo, songs):
            return photo

    found = retrieval(Scorer(), np.array([[9.0, 9.0], [1.0, 3.0]]), [Known(), Known()], np.eye(2, dtype=bool))
    assert found["song2image"]["R@1"] == 1


def test_lyrics_that_the_model_refuses_are_left_out_and_counted(pairs_file, model, capsys):
    pairs = read_pairs(pairs_file)
    unread = [replace(pairs[0], lyrics=text) for text in ("?!", FOREIGN)]
    assert evaluate_pairs(model, [*pairs, *unread]) == evaluate_pairs(model, pairs)
    assert capsys.readouterr().err.startswith("2 pairs left out")
    with pytest.raises(InputError, match="No pair is left"):
        evaluate_pairs(model, unread)


# Training


def named(text):
    """Pairs of songs a, b, c ... by their splits: "train dev -" is a in train, b in dev, c not named."""
    return [
        Pair(Path(f"{song}.png"), song, split=None if word == "-" else word)
        for song, word in zip("abcdefghij", text.split(), strict=False)
    ]


@pytest.mark.parametrize(
    ("splits", "learned", "checked"),
    [
        ("train train dev test", "ab", "c"),
        ("train - test", "ab", "c"),
        ("- - dev", "ab", "c"),
        ("train train train", "abc", ""),
    ],
)
def test_what_is_named_dev_or_test_is_held_out(splits, learned, checked):
    found = split_pairs(named(splits), 0.5)
    assert ["".join(pair.lyrics for pair in part) for part in found] == [learned, checked]


def test_no_song_is_on_both_sides():
    pairs = [*named("train - dev"), Pair(Path("x.png"), "c", split="train"), Pair(Path("y.png"), "c")]
    learned, checked = split_pairs(pairs, 0.5)
    assert {pair.lyrics for pair in learned} == {"a", "b"}
    assert len(checked) == 3


def test_a_share_of_the_songs_is_held_out_always_the_same_ones():
    pairs = [Pair(Path(f"{number}.png"), f"song {number // 2}") for number in range(2000)]
    learned, checked = split_pairs(pairs, 0.1)
    assert 70 < len({pair.lyrics for pair in checked}) < 130
    assert not {pair.lyrics for pair in learned} & {pair.lyrics for pair in checked}
    assert {pair.lyrics for pair in split_pairs(pairs[500:], 0.1)[1]} <= {pair.lyrics for pair in checked}
    assert split_pairs(pairs, 0.0)[1] == []


def test_the_loss_is_infonce_in_both_directions():
    scores = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    loss = contrastive_loss(scores, torch.eye(2, dtype=torch.bool), torch.ones(2))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_constant_per_image_or_song_does_not_change_the_loss():
    scores, own = torch.randn(4, 4), torch.eye(4, dtype=torch.bool)
    image, song = torch.tensor([[1.0], [-2.0], [0.0], [9.0]]), torch.tensor([[0.0, 5.0, -3.0, 1.0]])
    expected = contrastive_loss(scores, own, torch.ones(4)).item()
    assert contrastive_loss(scores + image + song, own, torch.ones(4)).item() == pytest.approx(expected, abs=1e-5)


def test_what_belongs_together_is_no_negative():
    scores, together = torch.randn(3, 3), torch.ones(3, 3, dtype=torch.bool)
    assert contrastive_loss(scores, together, torch.ones(3)).item() == pytest.approx(0, abs=1e-6)


def test_a_heavy_pair_counts_more():
    scores, own = torch.tensor([[4.0, 0.0], [0.0, 0.0]]), torch.eye(2, dtype=torch.bool)
    alone = [contrastive_loss(scores, own, torch.tensor(weights)).item() for weights in ([1.0, 0.0], [0.0, 1.0])]
    both = contrastive_loss(scores, own, torch.tensor([3.0, 1.0])).item()
    assert both == pytest.approx(0.75 * alone[0] + 0.25 * alone[1])


def test_images_of_one_song_are_no_negatives_in_a_batch(config, releases):
    model = load_release("small", folder=releases)
    examples = prepare_pair_examples(model, config)  # three images of each song, one after the other
    assert pair_loss(model.network, examples, torch.arange(3)).item() == pytest.approx(0, abs=1e-5)
    assert pair_loss(model.network, examples, torch.arange(4)).item() > 0.1


def test_lessons_follow_the_file(squares, config, releases):
    folder, known = squares
    rows = [known[0] | {"weight": 2.5}, known[3] | {"lyrics": "Green tree\n" * 90}]
    few = replace(config, pairs=write(folder / "few.jsonl", rows), held_out=0.0, longest=40)
    model = load_release("small", folder=releases)
    examples = prepare_pair_examples(model, few)
    assert examples.weights.tolist() == [2.5, 1.0]
    assert [len(song.lines) for song in examples.songs] == [2, 40]
    assert len(examples.reference) == len(model.network.reference) == 8  # of two images
    assert len(set(prepare_pair_examples(model, config).reference.tolist())) == 8  # of twelve


@pytest.fixture(scope="module")
def trained(pairs_file, releases, tmp_path_factory):
    """Train on all pairs; return the folder."""
    out = tmp_path_factory.mktemp("trained")
    assert main(command(pairs_file, out, releases, epochs=10, **{"held-out": 0})) == 0
    return out


def test_it_learns_which_song_goes_with_which_image(trained, pairs_file, model):
    pairs = read_pairs(pairs_file)
    start, end = evaluate_pairs(model, pairs), evaluate_pairs(load_release("pairs", folder=trained), pairs)
    assert start["image2song"]["MRR"] < 0.6
    for way in ("image2song", "song2image"):
        assert end[way]["MRR"] > start[way]["MRR"] + 0.3


def test_stage_one_learns_the_pairs_too(trained, pairs_file):
    model, pairs = load_release("pairs", folder=trained), read_pairs(pairs_file)
    queries = [model.query(view.embedding) for view in model.analyse(open_images([pair.image for pair in pairs]))]
    songs = model.encode(distinct(pairs).lyrics)
    scores = np.array([[query @ song.stage_one for song in songs] for query in queries])
    assert pair_figures(scores, np.arange(18) // 3)["MRR"] > 0.8


def test_the_release_is_whole_and_says_what_it_came_from(trained, releases, model):
    card, start = read_card("pairs", trained), read_card("small", releases)
    assert load_release("pairs", folder=trained).sha256 == card["sha256"] != start["sha256"]
    assert card["training"]["started_from"] == {"name": "small", "sha256": model.sha256}
    assert card["training"]["pairs"] == 18
    assert list(card["figures"]) == ["pairs: loss"]
    for key in ("architecture", "preprocessing", "confidence", "tags"):
        assert card[key] == start[key]
    assert (trained / "pairs.png").stat().st_size


def test_the_tagger_stays_as_it_is(trained, model):
    after = load_release("pairs", folder=trained).network.tagger.state_dict()
    for key, value in model.network.tagger.state_dict().items():
        assert torch.equal(after[key], value)


def test_means_are_taken_over_the_training_images(trained, pairs_file):
    model = load_release("pairs", folder=trained)
    views = model.analyse(open_images([pair.image for pair in read_pairs(pairs_file)]))
    vectors = torch.from_numpy(np.stack([view.embedding for view in views]))
    assert torch.allclose(model.network.matcher.photo_mean, vectors.mean(0), atol=0.02)
    assert (model.network.reference @ vectors.T).amax(1).min() > 0.99


def test_the_best_epoch_is_kept_and_all_are_written_down(config):
    train(config)
    rows = figures_file(config.out)
    assert {at for at, _, _ in rows} == {0, 1, 2, 3}
    ways = [f"{way} {name}" for way in ("image2song", "song2image") for name in FIGURES]
    assert [name for at, name, _ in rows if at == 2] == ["loss", *ways]
    card = read_card("pairs", config.out)
    by_epoch = {at: value for at, name, value in rows if name == "image2song MRR" and at}
    assert card["figures"]["pairs: image2song MRR"] == max(by_epoch.values()) == by_epoch[card["training"]["epoch"]]
    assert card["training"]["pairs"] == 12


def test_the_same_command_goes_on_after_the_last_epoch(pairs_file, releases, tmp_path):
    for epochs in (1, 3, 3):
        assert main(command(pairs_file, tmp_path, releases, epochs=epochs, **{"held-out": 0})) == 0
    assert [at for at, name, _ in figures_file(tmp_path) if name == "loss"] == [1, 2, 3]
    assert read_card("pairs", tmp_path)["training"]["epoch"] == 3


def test_an_interrupted_training_ends_like_one_that_was_not(config, tmp_path, monkeypatch):
    train(config)
    whole = TrainingLog.write

    def interrupted(log, phase, at, figures):
        if at == 2:
            raise KeyboardInterrupt
        whole(log, phase, at, figures)

    again = replace(config, out=tmp_path / "again")
    monkeypatch.setattr(TrainingLog, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(again)
    monkeypatch.setattr(TrainingLog, "write", whole)
    train(again)
    assert figures_file(again.out) == figures_file(config.out)
    assert read_card("pairs", again.out)["sha256"] == read_card("pairs", config.out)["sha256"]


def test_it_rejects_the_checkpoint_of_another_training(config, pairs_file):
    train(replace(config, epochs=1))
    for other in ({"seed": 1}, {"pairs": pairs_file}):
        with pytest.raises(InputError, match=r"pairs\.pt is of a training with other pairs, seed"):
            train(replace(config, **other))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([0], "1 pairs of 1 songs to train on"),
        ([0, 1, 2], "3 pairs of 1 songs to train on"),
        ([0, "foreign"], "1 pairs of 1 songs to train on"),
        ([0, "dev"], "1 pairs of 1 songs to train on"),
        (["broken"], "line 1: not JSON"),
        ([0, 3, "no image"], "not a readable photo"),
    ],
)
def test_it_rejects_what_it_cannot_learn_from(squares, releases, tmp_path, capsys, rows, says):
    folder, known = squares
    (folder / "no.png").write_text("red")
    special = {
        "foreign": known[3] | {"lyrics": FOREIGN},
        "dev": known[3] | {"split": "dev"},
        "broken": "{",
        "no image": known[3] | {"image": "no.png"},
    }
    path = write(folder / "wrong.jsonl", [special[row] if isinstance(row, str) else known[row] for row in rows])
    assert main(command(path, tmp_path / "out", releases, **{"held-out": 0})) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_it_rejects_an_unknown_release(pairs_file, tmp_path, capsys, releases):
    assert main(command(pairs_file, tmp_path, releases, release="large")) == 2
    assert "no release 'large'" in capsys.readouterr().err


def test_it_rejects_a_missing_file(tmp_path, capsys, releases):
    arguments = command("", tmp_path, releases)[4:]
    assert main(["train", "matcher", f"--pairs={tmp_path / 'none.jsonl'}", *arguments]) == 2
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"epochs": 0}, {"held-out": 1}, {"held-out": -0.1}])
def test_it_rejects_numbers_out_of_range(pairs_file, tmp_path, releases, options):
    with pytest.raises(SystemExit, match="2"):
        main(command(pairs_file, tmp_path, releases, **options))


def test_two_processes_train_together(dev_file, releases, tmp_path):
    arguments = command(dev_file, tmp_path, releases, epochs=2)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*launch, "recommender", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [at for at, name, _ in figures_file(tmp_path) if name == "image2song MRR"] == [0, 1, 2]
    assert load_release("pairs", folder=tmp_path).card["training"]["pairs"] == 12
