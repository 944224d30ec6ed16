"""Train the eyes: a tagger of what photos show and which moods they have, and of what they evoke, on described photos.

    python -m recommender train eyes --described FILE --images DIR --captions DIR --labels DIR \
        --backbone NAME --weights FILE --out DIR

Four heads share the feature map: tags and moods (binary cross-entropy; descriptions say what is not in a photo, labels
do not), the teacher's vector of what the photo shows, that of what it evokes, and the backbone's own ImageNet classes
(learning without forgetting, Li and Hoiem 2016). First a linear probe: the heads learn on the frozen backbone's
features, which are kept on disk. Then all weights are fine-tuned, on small photos first. Then follows another probe.

The same command goes on from the last checkpoint and comes to the same weights. Each stage appends its figures on
held-out photos to figures.jsonl, one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..backbones import BACKBONES, load_backbone, starting_input
from ..evaluate.eyes import EyesOutput
from ..images import Preprocessing
from ..inputs import InputError
from ..tagger import Tagged
from .data import Photo, Pixels, read_described_photos, tag_vocabulary
from .distributed import join_process_group
from .eyes_evaluation import HeldOutEvaluation, captioned_tags_with_baseline
from .eyes_examples import EyesExamples, epoch_rows, prepare_eyes_examples
from .features import cached_features_and_classes, feature_map_batches
from .fine_tuning import FineTuning, Student, fine_tuning_loss, initialise_tag_head, linear_probe, tag_loss
from .records import TrainingLog, save_checkpoint
from .teacher import WIDTH

PROBE_BATCH = 256


@dataclass
class EyesConfig:
    described: Path
    images: Path
    captions: Path
    labels: Path
    weights: Path
    out: Path
    backbone: str = "efficientnet_lite2"
    size: int = 0  # 0: as in the backbone's own training
    beside: Path | None = None
    exclude: list[Path] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)
    cache: Path | None = None
    first: int = 0
    frozen: bool = False
    sizes: list[int] = field(default_factory=lambda: [160, 192, 224])
    epochs: list[int] = field(default_factory=lambda: [6, 4, 2])
    # Regions are pooled by a smooth maximum during fine-tuning, and by their mean afterwards.
    sharpness: float = 1.0
    smallest: float = 0.4  # least share of a photo's area that a crop keeps
    rare: float = 0.003  # photos of tags that fewer than this share show are repeated
    probe_epochs: int = 15
    probe_rate: float = 1e-3
    batch: int = 48
    rate: float = 2e-4
    head_rate: float = 5e-4
    weight_decay: float = 1e-4
    shows_weight: float = 2.0
    evokes_weight: float = 1.0
    class_weight: float = 0.5
    seed: int = 0
    save_every: int = 100
    workers: int = 0
    device: str = "auto"

    def cache_folder(self, name: str) -> Path:
        return (self.cache or self.out) / name

    def preprocessing(self) -> Preprocessing:
        own = starting_input(self.backbone)
        return replace(own, size=self.size or own.size)


class EyesStudent(Student):
    """``shows``, ``evokes``: the heads for the teacher's vectors of what a photo shows and evokes, (WIDTH,) each."""

    def __init__(self, tags: int, backbone: str, classes: nn.Module) -> None:
        super().__init__(tags, backbone, classes)
        self.shows = nn.Linear(BACKBONES[backbone], WIDTH)
        self.evokes = nn.Linear(BACKBONES[backbone], WIDTH)

    @torch.no_grad()
    def read(self, features: Tensor) -> EyesOutput:
        """Return the outputs of all heads for pooled features (N, F), on the CPU."""
        self.eval()
        x = features.to(self.shows.weight.device)
        logits = self.tagger.classify(x[:, :, None, None]).logits
        return EyesOutput(logits.cpu(), self.shows(x).cpu(), self.evokes(x).cpu())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recommender train eyes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = parser.add_argument, EyesConfig
    add("--described", type=Path, required=True, help="JSON Lines with image, shows, evokes, moods")
    add("--images", type=Path, required=True, help="folder that the images of --described are relative to")
    add("--captions", type=Path, required=True, help="folder with captions.jsonl and images/")
    add("--labels", type=Path, required=True, help="folder with labels.jsonl and the photos that it names")
    add("--weights", type=Path, required=True, help="file with the backbone's ImageNet weights")
    add("--out", type=Path, required=True, help="folder for the tagger, the figures and the checkpoints")
    add("--backbone", choices=sorted(BACKBONES), default=default.backbone, help="the network that --weights holds")
    add("--size", type=int, default=0, help="side of the photos at inference (default: as the backbone was trained)")
    add("--beside", type=Path, help="weights of a MobileNetV2: also measure a linear head on it, for comparison")
    add("--exclude", type=Path, nargs="*", default=[], help="folders of photos to leave out, with near-duplicates")
    add("--unscored", nargs="*", default=[], help="folders of labelled photos that are never held out")
    add("--cache", type=Path, help="folder for frozen features and the teacher's vectors (default: --out)")
    add("--first", type=int, default=0, help="use only so many of the photos")
    add("--frozen", action="store_true", help="stop after the linear probe of the frozen backbone")
    add("--sizes", type=int, nargs="+", default=[160, 192, 224], help="sides of the photos during fine-tuning")
    add("--epochs", type=int, nargs="+", default=[6, 4, 2], help="number of epochs with each size")
    for name in ("batch", "seed", "probe-epochs", "save-every", "workers"):
        add(f"--{name}", type=int, default=getattr(default, name.replace("-", "_")))
    for name in ("rate", "head-rate", "rare", "smallest", "sharpness", "shows-weight", "evokes-weight", "class-weight"):
        add(f"--{name}", type=float, default=getattr(default, name.replace("-", "_")))
    add("--device", default=default.device, help="cpu, cuda or auto")
    given = parser.parse_args(arguments)
    if len(given.sizes) != len(given.epochs):
        parser.error("--sizes and --epochs must be equally many")
    train(EyesConfig(**vars(given)))
    return 0


def train(config: EyesConfig) -> None:
    """Raises InputError."""
    device = join_process_group(config.device)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    photos = read_eyes_photos(config)
    tags = tag_vocabulary(photos)
    backbone, classifier = load_backbone(config.backbone, config.weights)
    model = EyesStudent(len(tags), config.backbone, classifier).to(device)
    model.tagger.backbone.load_state_dict(backbone.state_dict())
    cache, preprocessing = config.cache_folder("features"), config.preprocessing()
    features, classes = cached_features_and_classes(backbone, classifier, photos, preprocessing, cache, device)
    examples = prepare_eyes_examples(photos, tags, classes, config.cache_folder("teacher"))
    print(f"{len(photos)} photos, {len(examples.dev)} of them held out, {len(tags)} tags", flush=True)
    captioned = captioned_tags_with_baseline(examples, config.beside, cache, device)
    evaluation = HeldOutEvaluation(examples, captioned, config.out / "figures.jsonl")
    initialise_tag_head(model.tagger, classifier, examples.targets, examples.weights, tags)

    probe_stage("frozen", config.out / "heads.pt", model, features, evaluation, config)
    if config.frozen:
        return
    fine_tune(model, examples, evaluation, config, device)
    tuned, own_cache = model.tagger.backbone, config.out / "features"
    features, _ = cached_features_and_classes(tuned, model.classes, photos, preprocessing, own_cache, device)
    probe_stage("heads again", config.out / "eyes.pt", model, features, evaluation, config)
    write_eyes(model, features, examples, config)


def read_eyes_photos(config: EyesConfig) -> list[Photo]:
    """Raises InputError when no described photo is held out."""
    photos = read_described_photos(config.described, config.images, config.captions, config.labels, config.exclude)
    photos = [replace(photo, split="train") if photo.source in config.unscored else photo for photo in photos]
    photos = photos[: config.first or None]
    if not any(photo.description and photo.split == "dev" for photo in photos):
        raise InputError(
            f"{config.described}: none of its photos is held out to measure on (a tenth is, by a hash of the names); "
            "describe more photos"
        )
    return photos


def eyes_loss(model: EyesStudent, tagged: Tagged, examples: EyesExamples, rows: Tensor, config: EyesConfig) -> Tensor:
    """Tag loss, plus the cosine distances of both heads from the teacher's vectors of the described photos."""
    device = tagged.features.device
    loss = tag_loss(tagged.logits, examples.targets[rows].to(device), examples.weights[rows].to(device))
    for head, vectors, weight in (
        (model.shows, examples.shows, config.shows_weight),
        (model.evokes, examples.evokes, config.evokes_weight),
    ):
        target = vectors[rows].to(device)
        described = target.any(1)
        if described.any():
            cosines = nn.functional.cosine_similarity(head(tagged.features[described]), target[described])
            loss = loss + weight * (1 - cosines).mean()
    return loss


def probe_stage(
    stage: str, path: Path, model: EyesStudent, features: Tensor, evaluation: HeldOutEvaluation, config: EyesConfig
) -> None:
    """Fit the heads on fixed pooled features (N, F) and save the model, or load it where the stage is done."""
    device, examples = model.shows.weight.device, evaluation.examples
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True, map_location=device))
        return
    started = time.monotonic()
    torch.manual_seed(config.seed)
    rows_of = partial(epoch_rows, examples, rare=config.rare, seed=config.seed)
    batches = [rows for epoch in range(config.probe_epochs) for rows in rows_of(epoch=epoch).split(PROBE_BATCH)]
    linear_probe(
        model,
        features,
        batches,
        len(batches),
        lambda tagged, rows: eyes_loss(model, tagged, examples, rows, config),
        rate=config.probe_rate,
        weight_decay=config.weight_decay,
    )
    seconds, seen = time.monotonic() - started, config.probe_epochs * len(examples.train)
    size = config.preprocessing().size
    evaluation.write(stage, model.read, features[examples.dev], size=size, seconds=seconds, seen=seen)
    save_checkpoint(model.state_dict(), path)


def fine_tune(
    model: EyesStudent, examples: EyesExamples, evaluation: HeldOutEvaluation, config: EyesConfig, device: torch.device
) -> None:
    """Train every weight end to end, from the last checkpoint on, with figures after each epoch."""
    sizes = [size for size, epochs in zip(config.sizes, config.epochs, strict=True) for _ in range(epochs)]
    rows_of = partial(epoch_rows, examples, rare=config.rare, seed=config.seed)
    batches = [rows_of(epoch=epoch).split(config.batch) for epoch in range(len(sizes))]
    ends = list(accumulate(map(len, batches)))
    rates = {"rate": config.rate, "head_rate": config.head_rate, "weight_decay": config.weight_decay}
    tuning = FineTuning(model, sum(map(len, batches)), config.out / "tuning.pt", **rates)
    tuning.resume()
    log = TrainingLog(config.out / "tuning.csv")
    model.to(memory_format=torch.channels_last)
    for epoch, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        if tuning.steps_taken >= end:
            continue
        left = batches[epoch][len(batches[epoch]) - (end - tuning.steps_taken) :]
        preprocessing = replace(config.preprocessing(), size=size)
        seed = config.seed + epoch
        data = Pixels(examples.photos, preprocessing, augment=True, smallest=config.smallest, seed=seed)
        started, seen = time.monotonic(), 0
        for pixels, rows in photo_loader(data, left, config.workers):
            torch.manual_seed(config.seed * 1_000_003 + tuning.steps_taken)  # dropout depends on the step alone
            loss = fine_tuning_loss(
                model,
                pixels.to(device, memory_format=torch.channels_last),
                rows,
                lambda tagged, rows: eyes_loss(model, tagged, examples, rows, config),
                examples.classes[rows].to(device),
                sharpness=config.sharpness,
                class_weight=config.class_weight,
            )
            tuning.step(loss)
            seen += len(rows)
            if tuning.steps_taken % config.save_every == 0 and tuning.steps_taken < end:
                speed = seen / (time.monotonic() - started)
                figures = {"of": ends[-1], "size": size, "loss": loss.item(), "photos/s": speed}
                log.write("tuning", tuning.steps_taken, figures)
                tuning.save()
        seconds = time.monotonic() - started
        features = held_out_features(model, examples, config, device)
        stage = f"epoch {epoch + 1} of {len(sizes)}"
        evaluation.write(stage, model.read, features, size=size, seconds=seconds, seen=seen)
        tuning.save()


def photo_loader(data: Pixels, batches: Sequence[Tensor], workers: int) -> DataLoader[tuple[Tensor, int]]:
    options: dict[str, Any] = {"num_workers": workers}
    if workers:  # processes that are forked after torch has computed something hang
        options |= {"multiprocessing_context": "spawn"}
    return DataLoader(data, batch_sampler=[rows.tolist() for rows in batches], **options)


def held_out_features(model: EyesStudent, examples: EyesExamples, config: EyesConfig, device: torch.device) -> Tensor:
    """Return pooled features (N, F) of the held-out photos without augmentation."""
    photos = [examples.photos[row] for row in examples.dev.tolist()]
    maps = feature_map_batches(model.tagger.backbone.eval(), photos, config.preprocessing(), device)
    with torch.no_grad():
        return torch.cat([part.mean((2, 3)).cpu() for part in maps])


def write_eyes(model: EyesStudent, features: Tensor, examples: EyesExamples, config: EyesConfig) -> None:
    """Write what later trainings need: tagger, tags, preprocessing, the other heads, and the features of all photos."""
    preprocessing = config.preprocessing()
    save_checkpoint(model.tagger.cpu().state_dict(), config.out / "tagger.pt")
    heads = {"shows": model.shows.cpu().state_dict(), "evokes": model.evokes.cpu().state_dict()}
    save_checkpoint({**heads, "means": examples.means}, config.out / "views.pt")
    np.savez(
        config.out / "tuned.npz",
        features=features.half().numpy(),
        photos=np.array([str(photo.path) for photo in examples.photos]),
    )
    card = {
        "architecture": {"backbone": config.backbone},
        "preprocessing": {"size": preprocessing.size, "mean": preprocessing.mean, "std": preprocessing.std},
        "tags": [{"name": tag.name, "kind": tag.kind} for tag in examples.tags],
    }
    (config.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
