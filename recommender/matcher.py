"""The third part of the model: the photo's vector, tag attention over a lyric's lines, and the relevance.

tags       v = MLP_v([sum_k p_k e_k / sum_k p_k ; the CNN's pooled feature]) over the k most certain tags
attention  a_i = softmax_i(u . tanh(W_h g_i + W_v v));  l(v) = sum_i a_i g_i
relevance  s(photo, song) = MLP([v ; l(v) ; v*l(v)])
stage one  s0(photo, song) = <v', l0>,  v' = W (v - the mean of v over reference photos)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .tagger import FEATURES


class PhotoEncoder(nn.Module):
    """Tags and pooled feature to the photo's vector v, in the space of the line states."""

    def __init__(self, tags: int, dim: int = 128, hidden: int = 512, most_certain: int = 20) -> None:
        super().__init__()
        self.tag_vectors = nn.Embedding(tags, dim)
        self.most_certain = most_certain
        self.from_tags = nn.Linear(dim, dim)
        self.from_features = nn.Linear(FEATURES, dim)
        self.mlp = nn.Sequential(nn.Linear(dim + FEATURES, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, dim))

    def forward(self, probabilities: Tensor, features: Tensor) -> Tensor:  # (B, T), (B, FEATURES) -> (B, D)
        tags = self.describe(probabilities)
        linear = self.from_tags(tags) + self.from_features(features)
        vector: Tensor = linear + self.mlp(torch.cat([tags, features], 1))
        return nn.functional.normalize(vector, dim=1)

    def describe(self, probabilities: Tensor) -> Tensor:
        """The mean tag vector of the most certain tags, by their probabilities: (B, T) to (B, D)."""
        p, k = probabilities.topk(min(self.most_certain, probabilities.shape[1]), dim=1)
        weights = p / p.sum(1, keepdim=True).clamp(min=1e-6)
        described: Tensor = (weights[:, :, None] * self.tag_vectors(k)).sum(1)
        return described


class TagAttention(nn.Module):
    """Additive attention of the photo over the lines (Bahdanau et al. 2015)."""

    def __init__(self, dim: int = 128, hidden: int = 256) -> None:
        super().__init__()
        self.from_line = nn.Linear(dim, hidden)
        self.from_photo = nn.Linear(dim, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        self._begin_as_dot_product()

    @torch.no_grad()
    def _begin_as_dot_product(self, sharpness: float = 3.0, step: float = 0.5, bias: float = 0.6) -> None:
        """Pairs of units whose second-order terms add up to sharpness * <g, v>: a start from which training moves."""
        dim = self.from_line.in_features
        half = self.from_line.out_features // 2
        turn = nn.init.orthogonal_(torch.empty(half, dim)) * step
        self.from_line.weight.copy_(torch.cat([turn, turn]))
        self.from_line.bias.fill_(bias)
        self.from_photo.weight.copy_(torch.cat([turn, -turn]))
        peak = torch.tanh(torch.tensor(bias))
        curvature = -2 * peak * (1 - peak**2)  # tanh''(bias)
        weight = sharpness / (2 * curvature * step**2)
        self.score.weight.copy_(torch.cat([weight.expand(1, half), -weight.expand(1, half)], 1))

    def forward(self, photos: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Weights (B, N, m) of each line for each photo; (B, D), (N, m, D), (N, m) true where a line is."""
        together = self.from_line(states)[None] + self.from_photo(photos)[:, None, None]  # (B, N, m, H)
        scores = self.score(together.tanh()).squeeze(3)  # (B, N, m)
        weights: Tensor = scores.masked_fill(~mask[None], -torch.inf).softmax(2)
        return weights


class Matcher(nn.Module):
    def __init__(self, tags: int, dim: int = 128, hidden: int = 128) -> None:
        super().__init__()
        self.photo = PhotoEncoder(tags, dim)
        self.attention = TagAttention(dim)
        self.agreement = nn.Linear(dim, 1, bias=False)
        last = nn.Linear(hidden, 1)
        self.mlp = nn.Sequential(nn.Linear(3 * dim, hidden), nn.GELU(), last)
        self.stage_one = nn.Linear(dim, dim, bias=False)
        self.photo_mean = nn.Buffer(torch.zeros(dim))
        with torch.no_grad():
            self.agreement.weight.fill_(8.0)
            last.weight.zero_()  # begin with the agreement alone
            last.bias.zero_()
            self.stage_one.weight.copy_(torch.eye(dim) * 8.0)

    def forward(self, photos: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Relevance (B, N) of each song for each photo; (B, D), (N, m, D), (N, m)."""
        weights = self.attention(photos, states, mask)  # (B, N, m)
        lyric = torch.einsum("bnm,nmd->bnd", weights, states)  # (B, N, D)
        photo = photos[:, None].expand_as(lyric)
        product = photo * lyric
        score = self.agreement(product) + self.mlp(torch.cat([photo, lyric, product], 2))
        relevance: Tensor = score.squeeze(2)
        return relevance

    def query(self, photos: Tensor) -> Tensor:
        """The stage-one vector v' of each photo: (B, D) to (B, D)."""
        vector: Tensor = self.stage_one(photos - self.photo_mean)
        return vector
