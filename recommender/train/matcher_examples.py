"""The training examples of the matcher: photos with tagger outputs and teacher vectors, songs with their targets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluate.judged import TaggerOutput
from ..lyrics import parse_lyric
from ..network import Network
from ..tagger import Tagger
from .data import Photo, TagSpec, read_photos, tag_targets, texts_of
from .development import DevelopmentSet, development_set
from .matcher_config import MatcherConfig
from .songs import TrainingSong, read_song_rows, songs_with_targets, stanzas_of
from .teacher import Space, embed, known_words


@dataclass
class MatcherExamples:
    """N photos, and songs.

    output             the trained tagger's, of all photos; ``tagger`` are its weights
    vectors (N, D)     the teacher's of the photos
    train, dev         rows of the training split and of the held-out split
    described          songs with captions of photos that go with them
    others             songs without captions
    captions           the captions of each training photo, as a song
    development        photos and songs for the development figures
    shown, known       of the held-out photos, (dev, T): is the tag in the photo, and is that known?
    """

    output: TaggerOutput
    tagger: dict[str, Tensor]
    vectors: Tensor
    train: Tensor
    dev: Tensor
    described: list[TrainingSong]
    others: list[TrainingSong]
    captions: list[TrainingSong]
    development: DevelopmentSet
    shown: Tensor
    known: Tensor

    @property
    def songs(self) -> list[TrainingSong]:
        return [*self.described, *self.others, *self.captions]


def prepare_matcher_examples(
    tags: Sequence[TagSpec], config: MatcherConfig, device: torch.device
) -> tuple[MatcherExamples, Space]:
    photos = read_photos(config.captions, config.labels, config.exclude)
    texts = [texts_of(photo) for photo in photos]
    caption_vectors = embed([text for part in texts for text in part], config.tagger)
    others = [row for path in config.lyrics for row in read_song_rows(path)]
    others = random.Random(config.seed).sample(others, min(config.most_others, len(others)))
    described = read_song_rows(config.described)
    stanzas = embed([text for row in others for text in stanzas_of(row["lyrics"])], config.out)
    space = Space.fit(caption_vectors, stanzas, config.dim)

    def songs(rows: Sequence[dict[str, Any]]) -> list[TrainingSong]:
        return [song.to(device) for song in songs_with_targets(rows, space, config.out, config.evoked)]

    vectors = space.of_photos(caption_vectors, [len(part) for part in texts]).to(device)
    split = {
        name: torch.tensor([i for i, photo in enumerate(photos) if photo.split == name]) for name in ("train", "dev")
    }
    held_out = [photos[row] for row in split["dev"].tolist()]
    classes = torch.from_numpy(np.load(config.tagger / "start.npz")["classes"]).float()
    targets, weights = tag_targets(held_out, tags, classes[split["dev"]])
    output, tagger = run_trained_tagger(tags, config, device)
    examples = MatcherExamples(
        shown=targets >= 0.5,
        known=weights >= 0.3,
        output=output,
        tagger=tagger,
        vectors=vectors,
        train=split["train"],
        dev=split["dev"],
        described=songs([row for i, row in enumerate(described) if i % config.held_out]),
        others=songs(others),
        captions=[song.to(device) for song in captions_as_songs(photos, caption_vectors, texts, space)],
        development=development_set(
            photos,
            tags,
            vectors,
            split["dev"],
            songs(read_song_rows(config.songs)),
            songs(described[:: config.held_out]),
        ),
    )
    return examples, space


@torch.inference_mode()
def run_trained_tagger(
    tags: Sequence[TagSpec], config: MatcherConfig, device: torch.device
) -> tuple[TaggerOutput, dict[str, Tensor]]:
    """Return the output of the trained tagger for all photos, from its folder, and its weights."""
    tagger = Tagger(len(tags), config.sharpness, config.backbone).eval().to(device)
    tagger.load_state_dict(torch.load(config.tagger / "tagger.pt", weights_only=True, map_location=device))
    features = torch.from_numpy(np.load(config.tagger / "tuned.npy")).float().to(device)
    logits = [tagger.classify(part[:, :, None, None]).logits for part in features.split(1024)]
    return TaggerOutput(torch.cat(logits), features), tagger.state_dict()


def photo_vectors(network: Network, output: TaggerOutput, rows: Tensor) -> Tensor:
    """Return v of the photos of ``rows``, (n, D)."""
    return network.embed_photos(output.logits[rows], output.features[rows])


def captions_as_songs(
    photos: Sequence[Photo], vectors: np.ndarray, texts: Sequence[Sequence[str]], space: Space
) -> list[TrainingSong]:
    """Return the captions of each training photo as the lines of a song."""
    parts = space.of_captions(vectors).split([len(part) for part in texts])
    captioned = [i for i, photo in enumerate(photos) if photo.captions and photo.split == "train"]
    return [TrainingSong(parse_lyric("\n".join(texts[i])), parts[i], parts[i]) for i in captioned]


def word_vocabulary(examples: MatcherExamples, config: MatcherConfig) -> list[str]:
    """Return the words of described songs and captions, those of other songs that are not rare, and the teacher's."""
    described, others = (
        Counter(word for song in songs for line in song.lyric.lines for word in line)
        for songs in ([*examples.described, *examples.captions], examples.others)
    )
    frequent = {word for word, count in others.items() if count >= config.rarest_word}
    return sorted(frequent.union(described, known_words()))
