"""The settings of the matcher's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class MatcherConfig:
    captions: Path
    labels: Path
    lyrics: list[Path]
    described: Path
    songs: Path
    tagger: Path
    out: Path
    exclude: list[Path] = field(default_factory=list)
    name: str = "starter"
    dim: int = 128
    hidden: int = 128
    buckets: int = 16384
    sharpness: float = 0.0
    rarest_word: int = 3  # least count of a word in the songs without captions
    cell: str = "lstm"
    attention: bool = True  # off: all lines have the same weight, for the ablation
    most_others: int = 1500  # songs without captions at most
    evoked: float = 0.25  # share of the captions' vectors in the line targets of a described song
    whole_weight: float = 0.3  # loss weight of the whole song; 1 is that of its lines
    references: int = 128
    lyric_epochs: int = 6
    photo_epochs: int = 25
    match_steps: int = 100
    # A batch of the joint training: photos, described songs (each with a caption in place of a photo), other songs.
    photos_at_once: int = 32
    described_at_once: int = 32
    others_at_once: int = 12
    longest: int = 32  # other songs with more lines are left out of the joint training
    held_out: int = 10  # every 10th described song is held out
    teacher_temperature: float = 1.0
    caption_noise: float = 0.5
    photo_rate: float = 5e-5
    lyric_rate: float = 5e-5
    match_rate: float = 3e-4
    backbone: str = "mobilenet_v2"
    seed: int = 0
    device: str = "cpu"

    def architecture(self) -> dict[str, Any]:
        """Return the arguments of ``Network``, as the card holds them."""
        names = ("backbone", "dim", "hidden", "buckets", "sharpness", "cell", "attention")
        return {name: getattr(self, name) for name in names}
