"""EfficientNet-Lite beside torchvision's backbones: its shapes, its padding, the layout of its published weights."""

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from recommender.backbones import SameConv2d, load_backbone, starting_input, whole_network
from recommender.network import Network
from recommender.release import load_release, save_release

from .releases import TAGS, WORDS, card


def published(network):
    """Return the weights under the names that efficientnet-lite-pytorch gives them."""
    names = {}
    blocks = list(network.features)[1:-1]
    for number, block in enumerate(blocks):
        parts = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        if not isinstance(block.expand, torch.nn.Identity):
            parts["expand"] = ("_expand_conv", "_bn0")
        for own, (convolution, norm) in parts.items():
            names[f"features.{number + 1}.{own}.0"] = f"_blocks.{number}.{convolution}"
            names[f"features.{number + 1}.{own}.1"] = f"_blocks.{number}.{norm}"
    names |= {"features.0.0": "_conv_stem", "features.0.1": "_bn0", "classifier.1": "_fc"}
    names |= {f"features.{len(blocks) + 1}.0": "_conv_head", f"features.{len(blocks) + 1}.1": "_bn1"}
    state = {}
    for key, value in network.state_dict().items():
        layer, _, weight = key.rpartition(".")
        state[f"{names[layer]}.{weight}"] = value
    return state


@pytest.mark.parametrize(
    ("name", "weights", "size"),
    [
        ("efficientnet_lite0", 4_652_008, 224),
        ("efficientnet_lite1", 5_416_680, 240),
        ("efficientnet_lite2", 6_092_072, 260),
    ],
)
def test_it_has_the_published_number_of_weights_and_size_of_photos(name, weights, size):
    network = whole_network(name)
    assert sum(weight.numel() for weight in network.parameters()) == weights
    square = starting_input(name)
    assert square.size == size
    assert square.mean == pytest.approx((0.498, 0.498, 0.498), abs=1e-3)
    assert square.std == pytest.approx((0.502, 0.502, 0.502), abs=1e-3)


def test_torchvisions_backbones_keep_their_preprocessing():
    square = starting_input("mobilenet_v2")
    assert (square.size, square.mean, square.std) == (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("kernel", "size", "before", "after"), [(3, 8, 0, 1), (3, 7, 1, 1), (5, 8, 1, 2), (5, 7, 2, 2), (3, 1, 1, 1)]
)
def test_the_odd_pixel_of_padding_is_at_the_right_and_the_bottom(kernel, size, before, after):
    layer = SameConv2d(1, 1, kernel, stride=2, bias=False)
    pixels = torch.rand(1, 1, size, size)
    padded = torch.nn.functional.pad(pixels, (before, after, before, after))
    with torch.inference_mode():
        torch.testing.assert_close(layer(pixels), torch.nn.functional.conv2d(padded, layer.weight, stride=2))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(9, 12), (16, 7)])
def test_photos_that_are_not_square_keep_their_shape(stride, size):
    output = SameConv2d(2, 2, 5, stride=stride, groups=2, bias=False)(torch.rand(1, 2, *size))
    assert output.shape[2:] == tuple(-(-side // stride) for side in size)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_published_weights_are_loaded_without_a_change(tmp_path, name, suffix):
    torch.manual_seed(3)
    network = whole_network(name).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    path = tmp_path / f"weights{suffix}"
    state = published(network)
    assert "_blocks.1._expand_conv.weight" in state
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    maps, classifier = load_backbone(name, path)
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert maps.eval()(pixels).shape == (2, 1280, 2, 2)
        torch.testing.assert_close(classifier.eval()(maps(pixels)), network(pixels))


def test_its_own_layout_is_loaded_too(tmp_path):
    network = whole_network("efficientnet_lite1").eval()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    maps, classifier = load_backbone("efficientnet_lite1", tmp_path / "own.pth")
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(classifier.eval()(maps.eval()(pixels)), network(pixels))


@pytest.mark.parametrize("other", ["efficientnet_lite1", "efficientnet_lite2"])
def test_published_weights_of_another_size_are_refused(tmp_path, other):
    torch.save(published(whole_network(other)), tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match="EfficientNetLite"):
        load_backbone("efficientnet_lite0", tmp_path / "other.pth")


def test_published_weights_are_refused_for_torchvisions_backbones(tmp_path):
    torch.save(published(whole_network("efficientnet_lite0")), tmp_path / "lite.pth")
    with pytest.raises(RuntimeError, match="MobileNetV2"):
        load_backbone("mobilenet_v2", tmp_path / "lite.pth")


def test_a_block_adds_what_came_in_only_where_the_shape_stays():
    blocks = list(whole_network("efficientnet_lite0").features)[1:-1]
    assert [block.adds for block in blocks] == [False] + [False, True] * 2 + [False, True, True] * 2 + [
        False, True, True, True, False,
    ]  # fmt: skip


def test_a_release_says_its_backbone_and_its_preprocessing(tmp_path):
    square = starting_input("efficientnet_lite0")
    its_card = card("lite")
    its_card["architecture"]["backbone"] = "efficientnet_lite0"
    its_card["preprocessing"] = {"size": 96, "mean": square.mean, "std": square.std}
    torch.manual_seed(5)
    network = Network(tags=len(TAGS), vocabulary=WORDS, references=8, architecture=its_card["architecture"]).eval()
    save_release(network, its_card, tmp_path)
    model = load_release("lite", folder=tmp_path)
    grey = model.preprocessing(Image.new("RGB", (40, 30), (127, 127, 127)))
    assert grey.shape == (3, 96, 96)
    assert grey.abs().max() < 1e-3  # the middle of its input, not ImageNet's mean
    view = model.analyse([Image.effect_noise((64, 48), 80).convert("RGB")])[0]
    assert view.embedding.shape == (128,)
