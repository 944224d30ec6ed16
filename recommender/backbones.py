"""Convolutional backbones, each split into feature maps and the classifier of its ImageNet training.

Backbones of torchvision, and EfficientNet-Lite (Google, 2020: EfficientNet by Tan and Le 2019 with ReLU6 and without
squeeze-excitation). Nothing downloads weights: the caller gives the path of a file.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model

from .images import Preprocessing

# Channels F of the last feature map.
BACKBONES = {
    "mobilenet_v2": 1280,
    "resnet50": 2048,
    "convnext_tiny": 768,
    "efficientnet_v2_s": 1280,
    "swin_t": 768,
    "efficientnet_lite0": 1280,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
}
# EfficientNet-Lite: width and depth as multiples of Lite0's, and the side of its training photos in pixels.
LITE = {
    "efficientnet_lite0": (1.0, 1.0, 224),
    "efficientnet_lite1": (1.0, 1.1, 240),
    "efficientnet_lite2": (1.1, 1.2, 260),
}
# Stages of Lite0: blocks, kernel, stride, expansion, channels. Depth does not scale the first and the last stage.
LITE_STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def starting_input(name: str) -> Preprocessing:
    """Return the preprocessing of the backbone's ImageNet training."""
    if name in LITE:
        mean, std = 127 / 255, 128 / 255
        return Preprocessing(LITE[name][2], (mean,) * 3, (std,) * 3)
    return Preprocessing()


def whole_network(name: str) -> nn.Module:
    """Return a network from photos (B, 3, S, S) to ImageNet logits (B, 1000), with random weights."""
    if name in LITE:
        width, depth, _ = LITE[name]
        return EfficientNetLite(width, depth)
    network: nn.Module = get_model(name, weights=None)
    return network


def feature_maps(name: str) -> nn.Module:
    """Return a network from photos (B, 3, S, S) to feature maps (B, F, H, W), with random weights."""
    return halves(name, whole_network(name))[0]


def halves(name: str, network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split a network into the part up to the feature maps and the classifier from them to logits (B, 1000)."""
    part = dict(network.named_children())
    if name == "resnet50":
        stages = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
        maps: nn.Module = nn.Sequential(*(part[stage] for stage in stages))
        return maps, nn.Sequential(part["avgpool"], nn.Flatten(), part["fc"])
    if name == "swin_t":
        maps = nn.Sequential(part["features"], part["norm"], part["permute"])
        return maps, nn.Sequential(part["avgpool"], nn.Flatten(), part["head"])
    if name == "convnext_tiny":  # its classifier flattens after a norm over channels
        return part["features"], nn.Sequential(part["avgpool"], part["classifier"])
    return part["features"], nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), part["classifier"])


def load_backbone(name: str, path: Path) -> tuple[nn.Module, nn.Module]:
    """Return both halves with the weights of a .safetensors or .pth file (loaded as weights only).

    The file has torchvision's layout or, for EfficientNet-Lite, that of efficientnet-lite-pytorch. Raises OSError when
    the file cannot be read, RuntimeError when it holds another network.
    """
    network = whole_network(name)
    state: dict[str, Tensor]
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    if "_conv_stem.weight" in state and isinstance(network, EfficientNetLite):
        state = {network.own_name(key): value for key, value in state.items()}
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )
    return halves(name, network)


class EfficientNetLite(nn.Module):
    """``features`` (stem, blocks, head) and ``classifier``, as in torchvision. Width does not scale stem and head."""

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm_activation(3, 32, 3, stride=2)]
        channels = 32
        for stage, (count, kernel, stride, expansion, base) in enumerate(LITE_STAGES):
            scaled = 0 < stage < len(LITE_STAGES) - 1
            for block in range(math.ceil(depth * count) if scaled else count):
                outgoing = _rounded(width * base)
                layers.append(InvertedResidual(channels, outgoing, kernel, 1 if block else stride, expansion))
                channels = outgoing
        layers.append(_conv_norm_activation(channels, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, photos: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(photos).mean((2, 3)))
        return logits

    def own_name(self, published: str) -> str:
        """Translate the name of a weight in efficientnet-lite-pytorch to its name here."""
        parts = {"_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "depthwise.0"}
        parts |= {"_bn1": "depthwise.1", "_project_conv": "project.0", "_bn2": "project.1"}
        last = len(self.features) - 1
        ends = {"_conv_stem": "features.0.0", "_bn0": "features.0.1", "_fc": "classifier.1"}
        ends |= {"_conv_head": f"features.{last}.0", "_bn1": f"features.{last}.1"}
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", published):
            return f"features.{int(block[1]) + 1}.{parts.get(block[2], block[2])}.{block[3]}"
        layer, _, weight = published.partition(".")
        return f"{ends.get(layer, layer)}.{weight}"


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; and a residual connection where the shapes are equal."""

    def __init__(self, channels: int, outgoing: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        expanded = expansion * channels
        self.expand = _conv_norm_activation(channels, expanded, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _conv_norm_activation(expanded, expanded, kernel, stride, groups=expanded)
        self.project = _conv_norm_activation(expanded, outgoing, 1)[:2]  # without an activation
        self.adds = stride == 1 and channels == outgoing

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: the output has ceil(size / stride) rows and columns.

    Where the padding is odd, the right and the bottom get one pixel more.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1:  # as much on each side: the convolution's own padding
            side = self.kernel_size[0] // 2
            return nn.functional.conv2d(x, self.weight, self.bias, 1, side, 1, self.groups)
        rows, columns = (self._padding(size) for size in x.shape[2:])
        x = nn.functional.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return nn.functional.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _padding(self, size: int) -> int:
        kernel, stride = self.kernel_size[0], self.stride[0]
        return max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)


def _conv_norm_activation(channels: int, outgoing: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        SameConv2d(channels, outgoing, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outgoing, eps=1e-3, momentum=0.01),
        nn.ReLU6(),
    )


def _rounded(channels: float) -> int:
    """Round to the nearest multiple of 8 that is at most a tenth smaller."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
