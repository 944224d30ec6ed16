"""The first part of the model: a CNN that tags the regions of a photo.

tags  P_r = sigmoid(CNN(x)_r) for each region r, pooled over the regions by a smooth maximum of the logits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

FEATURES = 1280

Box = tuple[float, float, float, float]


class Tagged(NamedTuple):
    regions: Tensor  # (B, T, H, W) logit of each tag in each region
    logits: Tensor  # (B, T) logit of each tag in the photo
    features: Tensor  # (B, FEATURES) mean of the last feature map


class Tagger(nn.Module):
    """MobileNetV2, fully convolutional, and one linear tag classifier shared by all regions.

    ``sharpness`` g pools the logits z_r as log(mean(exp(g z_r))) / g: at 0 their mean, towards infinity
    their maximum. Noisy-or adds up the doubts of 49 regions; this does not.
    """

    def __init__(self, tags: int, sharpness: float = 0.0) -> None:
        super().__init__()
        self.backbone = mobilenet_v2().features
        self.classifier = nn.Conv2d(FEATURES, tags, 1)
        self.sharpness = sharpness

    def forward(self, photos: Tensor) -> Tagged:  # (B, 3, S, S)
        maps = self.backbone(photos)  # (B, FEATURES, H, W)
        regions = self.classifier(maps)  # (B, T, H, W)
        return Tagged(regions, pool(regions, self.sharpness), maps.mean((2, 3)))


def pool(regions: Tensor, sharpness: float) -> Tensor:
    """Smooth maximum over the regions: (B, T, H, W) to (B, T)."""
    flat = regions.flatten(2)
    if sharpness == 0:
        return flat.mean(2)
    return ((flat * sharpness).logsumexp(2) - math.log(flat.shape[2])) / sharpness


def region_box(logits: NDArray[np.float32]) -> Box:
    """Where a tag is: the box of the strongest region's neighbourhood in one logit map, (H, W).

    The map is enlarged and cut half-way between its median and its peak; the box (x0, y0, x1, y1, as
    fractions of the photo) holds the connected part around the peak.
    """
    scale = 5  # odd: each region's centre is a pixel, so that no region loses its peak
    enlarged = nn.functional.interpolate(
        torch.from_numpy(np.asarray(logits, np.float32))[None, None],
        scale_factor=scale,
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()
    peak = np.unravel_index(int(enlarged.argmax()), enlarged.shape)
    inside = enlarged >= (np.median(enlarged) + enlarged[peak]) / 2
    part = np.zeros_like(inside)
    part[peak] = True
    while True:  # flood fill by growing: the maps are tiny
        grown = part.copy()
        grown[1:] |= part[:-1]
        grown[:-1] |= part[1:]
        grown[:, 1:] |= part[:, :-1]
        grown[:, :-1] |= part[:, 1:]
        grown &= inside
        if (grown == part).all():
            break
        part = grown
    rows, columns = np.nonzero(part)
    height, width = part.shape
    return (
        round(float(columns.min()) / width, 4),
        round(float(rows.min()) / height, 4),
        round(float(columns.max() + 1) / width, 4),
        round(float(rows.max() + 1) / height, 4),
    )
