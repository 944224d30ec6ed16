"""Convolutional backbones of torchvision, cut in two: feature maps, and the classifier of their ImageNet training.

No weights are downloaded: whoever has a file with a backbone's weights gives its path.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model

# Channels of the last feature map.
BACKBONES = {
    "mobilenet_v2": 1280,
    "resnet50": 2048,
    "convnext_tiny": 768,
    "efficientnet_v2_s": 1280,
    "swin_t": 768,
}


def feature_maps(name: str) -> nn.Module:
    """Photos (B, 3, S, S) to maps (B, F, H, W), with weights yet to be loaded."""
    return halves(name, get_model(name, weights=None))[0]


def halves(name: str, network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The feature maps of a torchvision network, and what makes class logits (B, 1000) of them."""
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
    """Both halves with the weights of a file in torchvision's layout: .safetensors, or .pth without code in it.

    Raises OSError if the file cannot be read, RuntimeError if it holds another network.
    """
    network = get_model(name, weights=None)
    state: dict[str, Tensor]
    if path.suffix == ".safetensors":
        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )
    return halves(name, network)
