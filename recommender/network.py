"""The whole network: pixels and lyrics in, relevances out; the parts are in ``tagger``, ``lyrics`` and ``matcher``.

B photos, N songs, T tags, m lines of a song, F features of the backbone, D = ``dim``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .backbones import BACKBONES
from .lyrics import Lyric, LyricEncoder
from .matcher import Matcher, pad
from .tagger import Tagger


class Network(nn.Module):
    """All weights of a release.

    reference (R, D)      v of photos over which a song's mean score is taken
    calibration (2, T)    a tag's score is sigmoid(slope * logit + shift)
    content               from the pooled feature: does the picture show anything?
    song_mean (D,), song_covariance (D, D)    of l0, for the spread of stage one's relevances of a photo
    """

    def __init__(self, *, tags: int, vocabulary: Sequence[str], references: int, architecture: dict[str, Any]) -> None:
        super().__init__()
        dim = architecture["dim"]
        backbone = architecture["backbone"]
        self.tagger = Tagger(tags, architecture["sharpness"], backbone)
        self.lyrics = LyricEncoder(
            vocabulary, architecture["buckets"], dim, architecture["hidden"], architecture["cell"]
        )
        self.matcher = Matcher(tags, BACKBONES[backbone], dim, architecture["attention"])
        self.reference = nn.Buffer(torch.zeros(references, dim))
        self.calibration = nn.Buffer(torch.stack([torch.ones(tags), torch.zeros(tags)]))
        self.content = nn.Linear(BACKBONES[backbone], 1)
        self.song_mean = nn.Buffer(torch.zeros(dim))
        self.song_covariance = nn.Buffer(torch.eye(dim))
        with torch.no_grad():
            self.content.weight.zero_()
            self.content.bias.fill_(1.0)  # every picture shows something until this is fitted

    def forward(self, pixels: Tensor, lyrics: Sequence[Lyric]) -> Tensor:
        """Return the relevance of each song for each photo, (B, N); no song's mean score is subtracted yet.

        pixels (B, 3, S, S)    as the release's preprocessing makes them
        lyrics                 N, each with at least one word
        """
        tagged = self.tagger(pixels)  # logits (B, T), pooled features (B, F)
        photos = self.embed_photos(tagged.logits, tagged.features)  # v (B, D)
        songs = self.lyrics(lyrics)  # line states g of all songs (sum of m, D)
        return self.relevance(photos, songs.states, songs.lines)  # (B, N)

    def embed_photos(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return v of each photo, (B, D), from the tagger's logits (B, T) and pooled features (B, F)."""
        vectors: Tensor = self.matcher.photo(logits.sigmoid(), features)
        return vectors

    def relevance(self, photos: Tensor, states: Tensor, lines: Sequence[int]) -> Tensor:
        """Return the relevance of each song for each photo, (B, N): stage two.

        photos (B, D)           v
        states (sum of m, D)    the line states of all songs, one after the other
        lines                   m of each song
        """
        if len(photos) == 1:  # its songs need no padding
            _, lyrics = self.matcher.attend(photos[0], states, lines)  # l(v), (N, D)
            return self.matcher.relate(photos, lyrics[None])
        padded, mask = pad(states.split(list(lines)))  # (N, longest m, D), (N, longest m)
        relevance: Tensor = self.matcher(photos, padded, mask)
        return relevance

    def stage_one(self, photos: Tensor, pooled: Tensor) -> Tensor:
        """Return stage one's estimates of the relevance, (B, N), from v (B, D) and l0 (N, D)."""
        return self.matcher.query(photos) @ pooled.T

    def tag_scores(self, logits: Tensor, features: Tensor) -> Tensor:
        """Return the calibrated score of each tag, (B, T); all are 0 where the picture shows nothing."""
        slope, shift = self.calibration
        scores: Tensor = (slope * logits + shift).sigmoid() * (self.content(features) > 0)
        return scores
