"""The first part of the model: a CNN that tags the regions of a photo.

tags  z_r = W f_r + context(f) for each region r, f = mean of all f_r;  z = the z_r pooled;  p = sigmoid(z)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .backbones import BACKBONES, feature_maps

Box = tuple[float, float, float, float]


class Tagged(NamedTuple):
    regions: Tensor  # (B, T, H, W) logit of each tag in each region
    logits: Tensor  # (B, T) logit of each tag in the photo
    features: Tensor  # (B, F) mean of the last feature map


class Tagger(nn.Module):
    """A backbone, a linear tag classifier that all regions share, and a head that adds the context of the whole photo.

    ``sharpness`` g pools the logits z_r as log(mean(exp(g z_r))) / g: their mean at 0, their maximum towards infinity.
    Unlike noisy-or this does not add up small probabilities of 49 regions.
    """

    def __init__(self, tags: int, sharpness: float = 0.0, backbone: str = "mobilenet_v2", hidden: int = 512) -> None:
        super().__init__()
        features = BACKBONES[backbone]
        self.backbone = feature_maps(backbone)
        self.classifier = nn.Conv2d(features, tags, 1)
        last = nn.Linear(hidden, tags, bias=False)
        self.context = nn.Sequential(nn.Dropout(0.2), nn.Linear(features, hidden), nn.GELU(), nn.Dropout(0.5), last)
        nn.init.zeros_(last.weight)
        self.sharpness = sharpness

    def forward(self, photos: Tensor) -> Tagged:  # (B, 3, S, S)
        return self.classify(self.backbone(photos))

    def classify(self, maps: Tensor) -> Tagged:
        """Return the tags from the last feature map, (B, F, H, W); H = W = 1 for pooled features."""
        features = maps.mean((2, 3))
        regions = self.classifier(maps) + self.context(features)[:, :, None, None]  # (B, T, H, W)
        return Tagged(regions, pool(regions, self.sharpness), features)


def pool(regions: Tensor, sharpness: float) -> Tensor:
    """Take the smooth maximum over the regions: (B, T, H, W) to (B, T)."""
    flat = regions.flatten(2)
    if sharpness == 0:
        return flat.mean(2)
    return ((flat * sharpness).logsumexp(2) - math.log(flat.shape[2])) / sharpness


def region_box(logits: NDArray[np.float32]) -> Box:
    """Return the box of a tag from its logit map (H, W): x0, y0, x1, y1 as fractions of the photo.

    The map is enlarged and thresholded half-way between its median and its peak; the box encloses the connected part
    that contains the peak.
    """
    scale = 5  # odd, so that the centre of each region is a pixel and keeps its value
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
