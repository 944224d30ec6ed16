"""The third part of the model: the embedding of a photo, tag attention over the lines of a lyric, and the relevance.

tags       v = W_t t + W_f f + MLP_v([t ; f]), to unit length; t = sum_k p_k e_k / sum_k p_k over the K tags
           of highest score; f is the CNN's pooled feature
attention  a_i = softmax_i(<A v, g_i / |g_i|> + u . tanh(W_h g_i + W_v v));  l(v) = sum_i a_i g_i, to unit length
relevance  s(photo, song) = <c, v*l(v)> + MLP([v ; l(v) ; v*l(v)])
stage one  s0(photo, song) = <v', l0>,  v' = W (v - the mean of v over training photos)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .lyrics import LINE_HIDDEN, pool_lines


class PhotoEncoder(nn.Module):
    """Tags and pooled feature to the embedding v, in the space of the line states."""

    def __init__(self, tags: int, features: int, dim: int, hidden: int = 512, most_certain: int = 20) -> None:
        super().__init__()
        self.tag_vectors = nn.Embedding(tags, dim)
        self.most_certain = most_certain
        self.from_tags = nn.Linear(dim, dim)
        self.from_features = nn.Linear(features, dim)
        self.mlp = nn.Sequential(nn.Linear(dim + features, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, dim))

    def forward(self, probabilities: Tensor, features: Tensor) -> Tensor:  # (B, T), (B, F) -> (B, D)
        tags = self.mean_tag_vector(probabilities)
        linear = self.from_tags(tags) + self.from_features(features)
        vector: Tensor = linear + self.mlp(torch.cat([tags, features], 1))
        return nn.functional.normalize(vector, dim=1)

    def mean_tag_vector(self, probabilities: Tensor) -> Tensor:
        """Return the mean vector of the most certain tags, weighted by their probabilities: (B, T) to (B, D)."""
        p, k = probabilities.topk(min(self.most_certain, probabilities.shape[1]), dim=1)
        weights = p / p.sum(1, keepdim=True).clamp(min=1e-6)
        mean: Tensor = (weights[:, :, None] * self.tag_vectors(k)).sum(1)
        return mean


class TagAttention(nn.Module):
    """Attention of the photo over the lines: additive (Bahdanau et al. 2015) beside bilinear (Luong et al. 2015).

    The additive term starts as the pooling that gives l0, which does not depend on the photo; the bilinear term starts
    as ``sharpness`` times the cosine. The additive term alone can express a cosine only as a difference of large terms,
    which training does not keep in balance.
    """

    def __init__(self, dim: int, hidden: int = LINE_HIDDEN, sharpness: float = 1.5) -> None:
        super().__init__()
        self.bilinear = nn.Linear(dim, dim, bias=False)
        self.from_line = nn.Linear(dim, hidden)
        self.from_photo = nn.Linear(dim, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        with torch.no_grad():
            self.bilinear.weight.copy_(torch.eye(dim) * sharpness)
            self.from_photo.weight.zero_()

    @torch.no_grad()
    def initialise(self, line_weight: nn.Sequential) -> None:
        """Start from the weights with which the lyric encoder pools lines without a photo."""
        self.from_line.load_state_dict(line_weight[0].state_dict())
        self.score.load_state_dict({"weight": line_weight[2].state_dict()["weight"]})

    def forward(self, photos: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each line for each photo, (B, N, m).

        photos (B, D), states (N, m, D), mask (N, m): False where a song is padded
        """
        weights: Tensor = self.scores(photos, states).masked_fill(~mask[None], -torch.inf).softmax(2)
        return weights

    def scores(self, photos: Tensor, states: Tensor) -> Tensor:
        """Return the logits of the weights, up to a constant that all lines share: (B, D) and (..., D) to (B, ...)."""
        from_photo = self.from_photo(photos).unflatten(0, (-1, *[1] * (states.dim() - 1)))  # (B, ..., H)
        # tanh(x) = 2 sigmoid(2x) - 1: torch's sigmoid takes a fifth of the time, and the softmax cancels constants.
        additive: Tensor = 2 * self.score((2 * (self.from_line(states) + from_photo)).sigmoid()).squeeze(-1)
        lengths = torch.linalg.vector_norm(states, dim=-1).clamp(min=1e-12)
        scores: Tensor = additive + torch.einsum("bd,...d->b...", self.bilinear(photos), states) / lengths
        return scores


class Matcher(nn.Module):
    """Photo encoder, tag attention, relevance and stage one. ``attends`` False: all lines weigh the same (ablation)."""

    def __init__(self, tags: int, features: int, dim: int, attends: bool = True, hidden: int = 128) -> None:
        super().__init__()
        self.attends = attends
        self.photo = PhotoEncoder(tags, features, dim)
        self.attention = TagAttention(dim)
        self.agreement = nn.Linear(dim, 1, bias=False)
        last = nn.Linear(hidden, 1)
        self.mlp = nn.Sequential(nn.Linear(3 * dim, hidden), nn.GELU(), last)
        self.stage_one = nn.Linear(dim, dim, bias=False)
        self.photo_mean = nn.Buffer(torch.zeros(dim))
        with torch.no_grad():
            self.agreement.weight.fill_(8.0)
            last.weight.zero_()  # the relevance starts as the agreement alone
            last.bias.zero_()
            self.stage_one.weight.copy_(torch.eye(dim) * 8.0)

    def forward(self, photos: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return the relevance of each song for each photo, (B, N).

        photos (B, D), states (N, m, D), mask (N, m): False where a song is padded
        """
        weights = self.line_weights(photos, states, mask)  # (B, N, m)
        attended = torch.einsum("bnm,nmd->bnd", weights, states)
        return self.relate(photos, nn.functional.normalize(attended, dim=2))

    def attend(self, photo: Tensor, states: Tensor, lines: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Attend with one photo (D,) to N songs, whose states (sum of m, D) follow each other without padding.

        Returns the logit of each line's weight, (sum of m,), and l(v) of each song, (N, D).
        """
        scores = self.attention.scores(photo[None], states)[0] if self.attends else states.new_zeros(len(states))
        return scores, pool_lines(scores, states, lines)

    def relate(self, photos: Tensor, lyrics: Tensor) -> Tensor:
        """Return the relevance (B, N) from photos (B, D) and the attended lyrics l(v), (B, N, D)."""
        repeated = photos[:, None].expand_as(lyrics)
        product = repeated * lyrics
        score = self.agreement(product) + self.mlp(torch.cat([repeated, lyrics, product], 2))
        relevance: Tensor = score.squeeze(2)
        return relevance

    def line_weights(self, photos: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each line for each photo, (B, N, m)."""
        if self.attends:
            weights: Tensor = self.attention(photos, states, mask)
            return weights
        return (mask / mask.sum(1, keepdim=True)).expand(len(photos), -1, -1)

    def query(self, photos: Tensor) -> Tensor:
        """Return the photo queries v': (B, D) to (B, D)."""
        queries: Tensor = self.stage_one(photos - self.photo_mean)
        return queries


def pad(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad N tensors (m, D) to (N, longest m, D); the mask (N, longest m) is False in the padding."""
    padded = nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
    lengths = torch.tensor([len(part) for part in parts], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device)[None] < lengths[:, None]
