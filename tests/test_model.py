"""Properties of every release, whatever its weights: shapes, ranges, and independence of the batch."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from recommender import lyrics as reading
from recommender.card import ReleaseError
from recommender.explaining import REASONS
from recommender.lyrics import parse_lyric, segment_softmax
from recommender.matcher import pad
from recommender.model import SHOWN_SCORE, SONGS_AT_ONCE, fill_up
from recommender.packing import pack, packed_type, unpack
from recommender.release import load_release
from recommender.results import PhotoView, Refusal, Tag
from recommender.tagger import pool, region_box

from .releases import TAGS, WORDS

LYRICS = [
    "The gulls go home\nThe tide comes in\n\nI count the masts\nTill you come in",
    "Red light, green light",
    "\n?!\nWe dance all night\n\nAnd never go home",
    "Zither quux\nXylophone",
    "Snow",
]


@pytest.fixture(scope="module")
def views(model):
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    slope = Image.linear_gradient("L").convert("RGB")
    return model.analyse([Image.fromarray(noise), slope, slope.rotate(90), Image.new("RGB", (30, 90), "red")])


@pytest.fixture(scope="module")
def encoded(model):
    return model.encode(LYRICS)


@pytest.fixture
def words(model):
    return model.network.lyrics.words


def test_lyrics_are_parsed_by_line_and_blank_lines_count_for_the_offsets():
    parsed = parse_lyric("\nThe gulls go HOME\n\n?!\n  the tide\r\n")
    assert parsed.lines == [["the", "gulls", "go", "home"], ["the", "tide"]]
    assert parsed.offsets == [1, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't you", ["don't", "you"]),
        ("don\u2019t rock\u2019n\u2019roll", ["don't", "rock'n'roll"]),
        ("'Cause lovin' 'you'", ["cause", "lovin", "you"]),
        ("ﬁre ＷＩＤＥ Cafe\u0301", ["fire", "wide", "café"]),
        ("la-la snake_case 24/7", ["la", "la", "snake", "case", "24", "7"]),
        ("🌊 sea ... — \u202e", ["sea"]),
    ],
)
def test_words_are_lower_case_and_keep_inner_apostrophes(text, words):
    assert parse_lyric(text).lines == [words]


@pytest.mark.parametrize("text", ["", "\n\n", "?!\n...", "🌊", "'"])
def test_a_text_without_words_has_no_lines(text):
    assert parse_lyric(text).lines == []


def test_no_more_than_max_words_are_parsed(monkeypatch):
    monkeypatch.setattr(reading, "MAX_WORDS", 5)
    parsed = parse_lyric("one two\n\nthree four\nfive six seven\neight")
    assert parsed.lines == [["one", "two"], ["three", "four"], ["five"]]
    assert parsed.offsets == [0, 2, 3]


@torch.inference_mode()
def test_known_words_have_vectors_of_their_own(words):
    assert (words(WORDS) == words.known.weight).all()


@torch.inference_mode()
def test_unseen_words_have_finite_vectors_that_differ(words):
    unseen = ["q", "zz", "quux", "quuxes", "zither", "שלום", "été", "don't've", "la" * 6000]
    vectors = words(unseen)
    assert vectors.shape == (len(unseen), 128)
    assert vectors.isfinite().all()
    assert torch.pdist(vectors).min() > 0.01


@torch.inference_mode()
def test_a_word_has_the_same_vector_in_any_company(words):
    together = words(["tide", "quux", "sea", "zither"])
    for word, vector in zip(["tide", "quux", "sea", "zither"], together, strict=True):
        torch.testing.assert_close(words([word])[0], vector)


@torch.inference_mode()
def test_a_lyric_has_the_same_states_alone_and_in_a_batch(model):
    parsed = [parse_lyric(text) for text in LYRICS]
    together = model.network.lyrics(parsed)
    assert together.lines == [4, 1, 2, 2, 1]
    assert together.states.shape == (10, 128)
    for lyric, states, pooled in zip(parsed, together.states.split(together.lines), together.pooled, strict=True):
        alone = model.network.lyrics([lyric])
        torch.testing.assert_close(alone.states, states, rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.pooled[0], pooled, rtol=0, atol=1e-5)
        assert pooled.norm().item() == pytest.approx(1, abs=1e-5)


@torch.inference_mode()
def test_the_word_weights_of_a_line_add_up_to_one(model):
    vectors, weights = model.network.lyrics.line_vectors([parse_lyric(text) for text in LYRICS[:2]])
    torch.testing.assert_close(torch.stack([part.sum() for part in weights.split([4, 4, 4, 4, 4])]), torch.ones(5))
    assert len(vectors) == 5


@torch.inference_mode()
def test_attention_starts_as_the_pooling_without_a_photo(releases):
    model = load_release("small", folder=releases)
    lyrics, attention = model.network.lyrics, model.network.matcher.attention
    attention.initialise(lyrics.line_weight)
    attention.bilinear.weight.zero_()
    encoded = lyrics([parse_lyric(LYRICS[0])])
    weights = attention(torch.randn(3, 128), *pad([encoded.states]))
    attended = normalize(weights[:, 0] @ encoded.states, dim=1)
    torch.testing.assert_close(attended, encoded.pooled.expand(3, -1))


def test_segment_softmax_is_a_softmax_within_each_segment():
    scores = torch.tensor([1.0, -2.0, 500.0, 499.0, 3.0, -500.0])
    weights = segment_softmax(scores, torch.tensor([0, 2, 1, 1, 0, 2]), 3)
    expected = {0: [0, 4], 1: [2, 3], 2: [1, 5]}
    for rows in expected.values():
        torch.testing.assert_close(weights[rows], scores[rows].softmax(0))
        assert weights[rows].sum() == pytest.approx(1)


@torch.inference_mode()
def test_attention_adds_up_to_one_and_leaves_padding_out(model):
    mask = torch.arange(6)[None] < torch.tensor([6, 1, 4])[:, None]
    photos, states = normalize(torch.randn(2, 128), dim=1), normalize(torch.randn(3, 6, 128), dim=2)
    weights = model.network.matcher.attention(photos, states, mask)
    assert weights.shape == (2, 3, 6)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 3))
    assert (weights[:, ~mask] == 0).all()
    assert (weights[:, mask] > 0).all()


def test_what_is_stored_of_a_song_has_its_shapes(encoded):
    for song, offsets in zip(encoded, [[0, 1, 3, 4], [0], [2, 4], [0, 1], [0]], strict=True):
        assert song.line_offsets == offsets
        assert (song.line_states.shape, song.line_states.dtype) == ((len(offsets),), packed_type(128))
        assert (song.stage_one.shape, song.stage_one.dtype) == ((129,), np.float32)
        assert np.isfinite(song.stage_one).all()


def test_packed_states_are_as_near_as_their_scale_allows():
    states = np.random.default_rng(0).normal(size=(5, 128)).astype(np.float32)
    states[3] = 0
    packed = pack(states)
    assert packed.nbytes == 5 * 130
    assert (np.abs(unpack(packed) - states) <= np.abs(states).max(1, keepdims=True) / 127 * 0.51 + 1e-6).all()
    again = np.frombuffer(packed.tobytes(), packed_type(128))
    assert (unpack(again) == unpack(packed)).all()
    assert unpack(pack(np.zeros((0, 128), np.float32))).shape == (0, 128)


def test_songs_without_words_leave_a_gap(model, encoded):
    first, gap, second, last = model.encode([LYRICS[0], "?!", LYRICS[1], ""])
    assert gap == last == Refusal("no_lyrics")
    assert (first.line_offsets, second.line_offsets) == (encoded[0].line_offsets, encoded[1].line_offsets)
    assert model.encode(["", "?!"]) == [Refusal("no_lyrics")] * 2


def test_many_songs_have_the_relevance_they_have_one_by_one(model, views, encoded):
    alone = np.concatenate([model.relevance(views[0].embedding, [song]) for song in encoded])
    times = SONGS_AT_ONCE // len(encoded) + 1
    together = model.relevance(views[0].embedding, encoded * times)
    np.testing.assert_allclose(together, np.tile(alone, times), rtol=0, atol=1e-4 * np.ptp(alone))
    assert np.ptp(alone) > 0.1


def test_no_songs_have_no_relevance(model, views):
    assert model.relevance(views[0].embedding, []).shape == (0,)


def test_relevance_is_zero_on_average_over_the_reference_photos(model, encoded):
    relevance = np.stack([model.relevance(photo.numpy(), encoded) for photo in model.network.reference])
    np.testing.assert_allclose(relevance.mean(0), 0, atol=1e-5)
    assert relevance.std(0).min() > 0.01


@torch.inference_mode()
def test_stored_states_give_nearly_the_relevance_of_full_ones(model, views, encoded):
    stored, full = [], []
    for text, song in zip(LYRICS, encoded, strict=True):
        states, _, _ = model.network.lyrics([parse_lyric(text)])
        mask = torch.ones(1, len(states), dtype=torch.bool)
        photo = torch.from_numpy(views[0].embedding)[None]
        full.append(model.network.matcher(photo, states[None], mask).item() - song.mean_score)
        stored.append(model.relevance(views[0].embedding, [song]).item())
    assert np.abs(np.subtract(stored, full)).max() < 0.01 * np.ptp(full)


@torch.inference_mode()
def test_the_network_gives_from_pixels_and_lyrics_what_a_release_ranks_by(model, views, encoded):
    slope = Image.linear_gradient("L").convert("RGB")
    pixels = torch.stack([model.preprocessing(photo) for photo in (slope, slope.rotate(90))])
    relevance = model.network(pixels, [parse_lyric(text) for text in LYRICS])
    assert relevance.shape == (2, len(LYRICS))
    means = [song.mean_score for song in encoded]
    ranked = np.stack([model.relevance(view.embedding, encoded) for view in views[1:3]])
    np.testing.assert_allclose(relevance.numpy() - means, ranked, rtol=0, atol=0.01 * np.ptp(ranked))
    alone = model.network(pixels[:1], [parse_lyric(text) for text in LYRICS])
    torch.testing.assert_close(alone, relevance[:1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("attends", [True, False])
@torch.inference_mode()
def test_one_photo_needs_no_padding(model, views, encoded, attends, monkeypatch):
    matcher = model.network.matcher
    monkeypatch.setattr(matcher, "attends", attends)
    states = [torch.from_numpy(unpack(song.line_states)) for song in encoded]
    photo = torch.from_numpy(views[0].embedding)
    attention, lyric = matcher.attend(photo, torch.cat(states), [len(lines) for lines in states])
    flat = matcher.relate(photo[None], lyric[None])[0]
    torch.testing.assert_close(flat, matcher(photo[None], *pad(states))[0], rtol=0, atol=1e-5)
    assert flat.std() > 1e-3
    weights = matcher.line_weights(photo[None], *pad(states))[0]  # (N, m)
    for song, part in zip(weights, attention.split([len(lines) for lines in states]), strict=True):
        torch.testing.assert_close(song[: len(part)], part.softmax(0), rtol=0, atol=1e-5)


def test_a_photo_gives_tags_best_first_with_boxes_and_a_vector_of_length_one(views):
    for view in views:
        scores = [tag.score for tag in view.tags]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] >= SHOWN_SCORE
        assert scores[0] <= 1
        for tag in view.tags:
            assert TAGS[tag.name] == tag.kind
            assert 0 <= tag.box[0] < tag.box[2] <= 1
            assert 0 <= tag.box[1] < tag.box[3] <= 1
        assert (view.embedding.shape, view.embedding.dtype) == ((128,), np.float32)
        assert np.linalg.norm(view.embedding) == pytest.approx(1, abs=1e-5)


def test_a_photo_has_the_same_analysis_alone_and_in_a_batch(model, views):
    slope = Image.linear_gradient("L").convert("RGB")
    (alone,) = model.analyse([slope])
    np.testing.assert_allclose(alone.embedding, views[1].embedding, atol=1e-5)
    assert np.abs(views[0].embedding - views[1].embedding).max() > 0.01
    assert model.analyse([]) == []


def test_a_batch_is_padded_to_few_sizes():
    sizes = {len(fill_up(torch.ones(count, 3, 2, 2))) for count in range(1, 65)}
    assert sizes == {1, 2, 4, 8, 16, 32, 64}
    filled = fill_up(torch.ones(5, 3, 2, 2))
    assert (filled[:5].min(), filled[5:].max()) == (1, 0)


def test_more_photos_than_one_pass_holds_are_analysed_in_order(model):
    shades = [Image.new("RGB", (8, 8), (shade, 0, 255 - shade)) for shade in range(0, 130, 2)]  # 65
    analysed = model.analyse(shades)
    (last,) = model.analyse(shades[-1:])
    assert len(analysed) == 65
    np.testing.assert_allclose(analysed[-1].embedding, last.embedding, atol=1e-5)


@pytest.mark.parametrize("device", ["cuda:64", "gpu", *([] if torch.cuda.is_available() else ["cuda"])])
def test_a_device_that_is_not_there_is_named(releases, device):
    with pytest.raises(ReleaseError, match=f"no device|There is no device '{device}'"):
        load_release("small", folder=releases, device=device)


@torch.no_grad()
def test_a_photo_with_nothing_certain_has_no_tags_and_yet_a_vector(releases):
    model = load_release("small", folder=releases)
    model.network.tagger.classifier.bias.fill_(-200)
    assert PhotoView([], np.zeros(128)).certainty == 0
    (view,) = model.analyse([Image.new("RGB", (64, 64), "teal")])
    assert view.tags == []
    assert np.linalg.norm(view.embedding) == pytest.approx(1, abs=1e-5)
    assert model.explain(view.tags, view.embedding, model.encode(LYRICS[:1]))[0].reasons == []


def test_an_explanation_has_a_line_that_exists_and_tags_of_the_photo(model, views, encoded):
    count = 0
    for view in views:
        for text, song in zip(LYRICS, encoded, strict=True):
            (explanation,) = model.explain(view.tags[:6], view.embedding, [song])
            assert parse_lyric(text.split("\n")[explanation.line]).lines
            assert {(reason.tag, reason.kind) for reason in explanation.reasons} <= {
                (t.name, t.kind) for t in view.tags[:6]
            }
            weights = [reason.weight for reason in explanation.reasons]
            assert weights == sorted(weights, reverse=True)
            assert all(weight > 0 for weight in weights)
            assert len(weights) <= REASONS
            count += len(weights)
    assert count


def test_a_tag_that_the_release_does_not_know_explains_nothing(model, views, encoded):
    unknown = Tag("zeppelin", "object", 0.9, (0, 0, 1, 1))
    assert model.explain([unknown], views[0].embedding, encoded[:1])[0].reasons == []


def test_the_line_that_fits_is_the_one_most_like_the_photo(model, views, encoded):
    photo = views[0].embedding
    for states, line in (([photo, -photo], 3), ([-photo, photo], 7)):
        song = replace(encoded[0], line_states=pack(np.array(states, np.float32)), line_offsets=[3, 7])
        assert model.explain([], photo, [song])[0].line == line


def test_the_attention_comes_back_by_line_and_word(model, views):
    lines = model.attend(views[0].embedding, LYRICS[0])
    assert [line.line for line in lines] == [0, 1, 3, 4]
    assert sum(line.weight for line in lines) == pytest.approx(1, abs=1e-5)
    assert [word for word, _ in lines[0].words] == ["the", "gulls", "go", "home"]
    for line in lines:
        assert sum(share for _, share in line.words) == pytest.approx(1, abs=1e-5)
    (explanation,) = model.explain([], views[0].embedding, model.encode(LYRICS[:1]))
    assert explanation.line == max(lines, key=lambda line: line.weight).line
    assert model.attend(views[0].embedding, "?!") == []


def test_without_attention_all_lines_count_alike(releases, views):
    model = load_release("small", folder=releases)
    model.network.matcher.attends = False
    assert [line.weight for line in model.attend(views[0].embedding, LYRICS[0])] == pytest.approx([0.25] * 4)


def test_confidence_grows_with_relevance_and_certainty(model):
    photo = normalize(torch.randn(128), dim=0).numpy()
    unsure, sure = (PhotoView([Tag("dog", "object", score, (0, 0, 1, 1))], photo) for score in (0.2, 0.9))
    average = -model.standing(photo, 0.0) / (model.standing(photo, 1.0) - model.standing(photo, 0.0))
    assert model.confidence(sure, average) == pytest.approx(1 / (1 + math.exp(2 - 2 * 0.9)))  # the card's numbers
    assert model.confidence(sure, average + 9) > model.confidence(sure, average) > model.confidence(unsure, average)
    assert 0 <= model.confidence(unsure, -1e9) < model.no_match < model.confidence(unsure, 1e9) <= 1
    assert model.view_text("a dog").certainty == 1


def test_without_anything_recognised_there_is_no_confidence(model):
    assert model.confidence(PhotoView([], np.zeros(128)), 1e9) == 0


@torch.no_grad()
def test_standing_is_in_deviations_of_stage_one_over_the_songs_of_the_training(releases):
    model = load_release("small", folder=releases)
    songs = torch.randn(1000, 128) + 0.5
    model.network.song_mean.copy_(songs.mean(0))
    model.network.song_covariance.copy_(songs.T.cov(correction=0))
    photo = normalize(torch.randn(128), dim=0)
    matcher = model.network.matcher
    own = matcher.query(photo[None])[0] @ songs.T
    everybody = (matcher.query(model.network.reference) @ songs.T).mean(0)
    scores = own - everybody
    expected = float((2.0 - scores.mean()) / scores.std(correction=0))
    assert model.standing(photo.numpy(), 2.0) == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_a_picture_that_shows_nothing_has_no_tags(releases):
    model = load_release("small", folder=releases)
    photo = Image.linear_gradient("L").convert("RGB")
    assert model.analyse([photo])[0].tags
    model.network.content.bias.fill_(-1.0)
    assert model.analyse([photo])[0].tags == []


@torch.no_grad()
def test_scores_are_calibrated_and_the_vector_is_not(releases, views):
    model = load_release("small", folder=releases)
    model.network.calibration.copy_(torch.stack([torch.full((12,), 0.0), torch.full((12,), 1.0)]))
    (view,) = model.analyse([Image.linear_gradient("L").convert("RGB")])
    assert {tag.score for tag in view.tags} == {round(1 / (1 + math.exp(-1)), 4)}
    np.testing.assert_allclose(view.embedding, views[1].embedding, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "none"])
@torch.inference_mode()
def test_a_line_is_encoded_in_the_context_of_its_song_unless_it_is_a_bag_of_words(cell):
    torch.manual_seed(1)
    encoder = reading.LyricEncoder(WORDS, buckets=64, dim=16, hidden=8, cell=cell).eval()
    alone = encoder([parse_lyric("the sea")]).states[0]
    after = encoder([parse_lyric("we dance all night\nthe sea")]).states[1]
    assert torch.allclose(alone, after) is (cell == "none")


def test_a_text_can_stand_in_for_a_photo(model, encoded):
    view = model.view_text("Two dogs\nby the water")
    assert view.tags == []
    assert np.linalg.norm(view.embedding) == pytest.approx(1, abs=1e-5)
    assert (view.embedding == model.view_text("two DOGS by the water!").embedding).all()
    assert np.isfinite(model.relevance(view.embedding, encoded)).all()


@pytest.mark.parametrize("text", ["", " \n", "?!", "🌊"])
def test_a_text_without_words_cannot(model, text):
    with pytest.raises(ValueError, match="no words"):
        model.view_text(text)


def test_the_query_ranks_by_inner_product_and_is_zero_for_the_mean_photo(model, views):
    mean = model.network.matcher.photo_mean.numpy()
    assert (model.query(mean) == 0).all()
    query = model.query(views[0].embedding)
    assert (query.shape, query.dtype) == ((129,), np.float32)
    np.testing.assert_allclose(model.query(2 * views[0].embedding - mean), 2 * query, atol=1e-4)


def test_pooling_goes_from_the_mean_to_the_maximum():
    regions = torch.randn(3, 5, 7, 7, generator=torch.Generator().manual_seed(1))
    mean, maximum = regions.mean((2, 3)), regions.amax((2, 3))
    torch.testing.assert_close(pool(regions, 0), mean)
    torch.testing.assert_close(pool(regions, 1e-3), mean, rtol=0, atol=1e-2)
    torch.testing.assert_close(pool(regions, 1e4), maximum, rtol=0, atol=math.log(49) / 1e4 + 1e-5)
    pooled = [mean, *(pool(regions, sharpness) for sharpness in (0.5, 1, 4, 16)), maximum]
    for less, more in pairwise(pooled):
        assert (less < more).all()


def made_map(*peaks, size=(7, 7)):
    """Return a logit map that falls off around the peaks: (row, column, height)."""
    rows, columns = np.indices(size)
    hills = [height - np.hypot(rows - row, columns - column) for row, column, height in peaks]
    return np.max([np.full(size, -4.0), *hills], axis=0).astype(np.float32)


def holds(box, row, column, size=(7, 7)):
    return box[0] < (column + 0.5) / size[1] < box[2] and box[1] < (row + 0.5) / size[0] < box[3]


@pytest.mark.parametrize("peak", [(0, 0), (0, 6), (6, 0), (6, 6), (3, 3), (2, 5), (0, 3)])
def test_a_box_holds_the_peak_and_not_the_whole_photo(peak):
    box = region_box(made_map((*peak, 1.0)))
    assert 0 <= box[0] < box[2] <= 1
    assert 0 <= box[1] < box[3] <= 1
    assert holds(box, *peak)
    assert (box[2] - box[0]) * (box[3] - box[1]) < 0.4


def test_a_box_holds_the_higher_of_two_peaks_that_are_apart():
    box = region_box(made_map((1, 1, 2.0), (5, 6, 1.5)))
    assert holds(box, 1, 1)
    assert not holds(box, 5, 6)


def test_a_box_holds_both_of_two_peaks_that_touch():
    box = region_box(made_map((3, 2, 2.0), (3, 4, 2.0)))
    assert holds(box, 3, 2)
    assert holds(box, 3, 4)


@pytest.mark.parametrize("height", [-30.0, 0.0, 0.5])
def test_a_flat_map_is_the_whole_photo(height):
    assert region_box(np.full((7, 7), height, np.float32)) == (0, 0, 1, 1)


def test_a_box_fits_maps_that_are_not_square():
    size = (2, 9)
    box = region_box(made_map((1, 7, 1.0), size=size))
    assert holds(box, 1, 7, size)
    assert box[0] > 0.5
    assert region_box(np.ones((1, 1), np.float32)) == (0, 0, 1, 1)


def test_boxes_are_within_the_photo_for_any_map():
    for seed in range(50):
        logits = np.random.default_rng(seed).normal(0, 5, (7, 7)).astype(np.float32)
        box = region_box(logits)
        assert 0 <= box[0] < box[2] <= 1
        assert 0 <= box[1] < box[3] <= 1
        assert holds(box, *np.unravel_index(logits.argmax(), (7, 7)))
