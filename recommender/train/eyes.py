"""Train the eyes: a tagger of what photos show and which moods they have, and of what they evoke, on described photos.

    python -m recommender train eyes --described FILE --images DIR --captions DIR --labels DIR \
        --backbone NAME --weights FILE --out DIR

Four heads share the feature map: tags and moods (binary cross-entropy; descriptions say what is not there, labels do
not), the teacher's view of what the photo shows, the same of what it evokes, and the backbone's own ImageNet classes
(learning without forgetting, Li and Hoiem 2016). First the heads learn on the frozen backbone's features, which are
kept on disk; then every weight, from small pictures to larger ones; then the heads once more.

The same command goes on from the last checkpoint and comes to the same weights. Each stage ends with its figures on
held-out photos, one JSON object a line in figures.jsonl, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..backbones import BACKBONES, load_backbone, starting_input
from ..evaluate.eyes import CaptionedTags, EyesOutput, captioned_tags, eyes_figures, head_on_baseline
from ..evaluate.tagger import BESIDE
from ..images import Preprocessing
from ..inputs import InputError
from ..tagger import Tagged, Tagger
from .data import Photo, Pixels, TagSpec, read_described_photos, tag_targets, tag_vocabulary
from .features import features_and_classes
from .run import TrainingLog, autocast, join_process_group, optimizer_step, save_checkpoint
from .tagger import feature_map_batches, initialise_tag_head
from .teacher import WIDTH, embed


@dataclass
class EyesConfig:
    described: Path
    images: Path
    captions: Path
    labels: Path
    weights: Path
    out: Path
    backbone: str = "efficientnet_lite2"
    size: int = 0
    beside: Path | None = None
    exclude: list[Path] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)
    cache: Path | None = None
    first: int = 0
    frozen: bool = False
    sizes: list[int] = field(default_factory=lambda: [160, 192, 224])
    epochs: list[int] = field(default_factory=lambda: [6, 4, 2])
    # Regions are pooled by a smooth maximum while the backbone learns, by their mean in the end.
    sharpness: float = 1.0
    smallest: float = 0.4  # share of a photo that a crop keeps
    rare: float = 0.003  # photos of tags that fewer than this share show are seen more often
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

    def kept(self, what: str) -> Path:
        return (self.cache or self.out) / what

    def square(self) -> Preprocessing:
        own = starting_input(self.backbone)
        return replace(own, size=self.size or own.size)


class EyesStudent(nn.Module):
    """The tagger, and beside it the teacher's views and the backbone's own classes."""

    def __init__(self, tags: int, backbone: str, classes: nn.Module) -> None:
        super().__init__()
        self.tagger = Tagger(tags, backbone=backbone)
        self.shows = nn.Linear(BACKBONES[backbone], WIDTH)
        self.evokes = nn.Linear(BACKBONES[backbone], WIDTH)
        self.classes = classes

    def heads(self) -> list[nn.Parameter]:
        return [
            value for name, value in self.named_parameters() if not name.startswith(("tagger.backbone.", "classes."))
        ]


@dataclass
class EyesExamples:
    """What is known of all N photos: targets of tags and moods and their weights (N, T), the teacher's unit vectors of
    descriptions with their mean removed (N, WIDTH; 0 where there is none), the starting backbone's class probabilities
    (N, C), the rows to learn from and to measure on, and the means (WIDTH,)."""

    photos: list[Photo]
    tags: list[TagSpec]
    targets: Tensor
    weights: Tensor
    shows: Tensor
    evokes: Tensor
    classes: Tensor
    train: Tensor
    dev: Tensor
    means: dict[str, Tensor]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recommender train eyes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--described", type=Path, required=True, help="JSON Lines: image, shows, evokes, moods")
    add("--images", type=Path, required=True, help="the folder that its images are relative to")
    for name in ("captions", "labels", "weights", "out"):
        add(f"--{name}", type=Path, required=True)
    add("--backbone", choices=sorted(BACKBONES), default=EyesConfig.backbone, help="what --weights holds")
    add("--size", type=int, default=0, help="side of the photos in the end (that of the backbone's own training)")
    add("--beside", type=Path, help="weights of a MobileNetV2, to measure a linear head on it for comparison")
    add("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    add("--unscored", nargs="*", default=[], help="folders of labelled photos that are never held out")
    add("--cache", type=Path, help="where frozen features and the teacher's vectors are kept (in --out)")
    add("--first", type=int, default=0, help="only so many of the photos")
    add("--frozen", action="store_true", help="stop after the heads on the frozen backbone")
    add("--sizes", type=int, nargs="+", default=[160, 192, 224], help="sides of the photos while all weights learn")
    add("--epochs", type=int, nargs="+", default=[6, 4, 2], help="of each size")
    for name in ("batch", "seed", "probe-epochs", "save-every", "workers"):
        add(f"--{name}", type=int, default=getattr(EyesConfig, name.replace("-", "_")))
    for name in ("rate", "head-rate", "rare", "smallest", "sharpness", "shows-weight", "evokes-weight", "class-weight"):
        add(f"--{name}", type=float, default=getattr(EyesConfig, name.replace("-", "_")))
    add("--device", default=EyesConfig.device, help="cpu, cuda or auto")
    given = parser.parse_args(arguments)
    if len(given.sizes) != len(given.epochs):
        parser.error("--sizes and --epochs must be equally many")
    train(EyesConfig(**vars(given)))
    return 0


def train(config: EyesConfig) -> None:
    device = join_process_group(config.device)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    photos = read_eyes_photos(config)
    tags = tag_vocabulary(photos)
    maps, classifier = load_backbone(config.backbone, config.weights)
    model = EyesStudent(len(tags), config.backbone, classifier).to(device)
    model.tagger.backbone.load_state_dict(maps.state_dict())
    features, classes = features_and_classes(maps, classifier, photos, config.square(), config.kept("features"), device)
    examples = prepare_eyes_examples(photos, tags, classes, config)
    print(f"{len(photos)} photos, {len(examples.dev)} of them held out, {len(tags)} tags", flush=True)
    evaluation = HeldOutEvaluation(
        examples, captioned_baseline(examples, config, device), config.out / "figures.jsonl", device
    )
    initialise_tag_head(model.tagger, classifier, examples.targets, examples.weights, tags)

    probe_stage("frozen", config.out / "heads.pt", model, features, evaluation, config, device)
    if config.frozen:
        return
    fine_tune(model, examples, evaluation, config, device)
    features = tuned_view(model, photos, config, device)
    probe_stage("heads again", config.out / "eyes.pt", model, features, evaluation, config, device)
    write_results(model, features, examples, config)


def read_eyes_photos(config: EyesConfig) -> list[Photo]:
    photos = read_described_photos(config.described, config.images, config.captions, config.labels, config.exclude)
    photos = [replace(photo, split="train") if photo.source in config.unscored else photo for photo in photos]
    photos = photos[: config.first or None]
    if not any(photo.description and photo.split == "dev" for photo in photos):
        raise InputError(
            f"{config.described}: none of its photos is held out to measure on (a tenth is, by a hash of the names); "
            "describe more photos"
        )
    return photos


def prepare_eyes_examples(
    photos: list[Photo], tags: list[TagSpec], classes: Tensor, config: EyesConfig
) -> EyesExamples:
    targets, weights = tag_and_mood_targets(photos, tags, classes)
    described = [row for row, photo in enumerate(photos) if photo.description]
    views, means = {}, {}
    for name in ("shows", "evokes"):
        texts = [getattr(photos[row].description, name) for row in described]
        parts = [embed(texts[at : at + 2048], config.kept("teacher")) for at in range(0, len(texts), 2048)]
        vectors = torch.from_numpy(np.concatenate(parts).astype(np.float32))
        means[name] = vectors.mean(0)
        views[name] = torch.zeros(len(photos), WIDTH)
        views[name][described] = nn.functional.normalize(vectors - means[name], dim=1)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    return EyesExamples(photos, tags, targets, weights, views["shows"], views["evokes"], classes, **split, means=means)


def tag_and_mood_targets(photos: Sequence[Photo], tags: Sequence[TagSpec], classes: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and weights, (N, T) each. What a description shows counts as much as two captions that say it."""
    told = [
        replace(photo, captions=photo.captions + 2 * (photo.description.shows,)) if photo.description else photo
        for photo in photos
    ]
    targets, weights = tag_targets(told, tags, classes)
    moods = [column for column, tag in enumerate(tags) if tag.kind == "mood"]
    for row, photo in enumerate(photos):
        if photo.description:
            found = [float(tags[column].name in photo.description.moods) for column in moods]
            targets[row, moods], weights[row, moods] = torch.tensor(found), 1.0
    return targets, weights


def captioned_baseline(examples: EyesExamples, config: EyesConfig, device: torch.device) -> CaptionedTags:
    """The tags that captions say, and how well a linear head on a frozen MobileNetV2, if given, tells them."""
    train, dev = ([examples.photos[row] for row in rows.tolist()] for rows in (examples.train, examples.dev))
    part = captioned_tags(train, dev)
    if not (config.beside and part.columns):
        return part
    trained = [photo for photo in train if photo.captions]
    both = [*trained, *(dev[row] for row in part.rows)]
    frozen = load_backbone(BESIDE, config.beside)
    features, _ = features_and_classes(*frozen, both, starting_input(BESIDE), config.kept("features"), device)
    return replace(part, beside=head_on_baseline(part, features[: len(trained)], trained, features[len(trained) :]))


class HeldOutEvaluation:
    """Figures on the held-out photos, one JSON object a line."""

    def __init__(self, examples: EyesExamples, part: CaptionedTags, path: Path, device: torch.device) -> None:
        self.examples, self.part, self.path, self.device = examples, part, path, device
        photos = [examples.photos[row] for row in examples.dev.tolist()]
        self.described = np.array([at for at, photo in enumerate(photos) if photo.description], np.int64)
        nothing = torch.zeros(len(photos), examples.classes.shape[1])  # what the starting backbone thinks is no truth
        self.truth = (tag_and_mood_targets(photos, examples.tags, nothing)[0] >= 0.99).numpy()

    @torch.no_grad()
    def write(
        self, stage: str, model: EyesStudent, features: Tensor, *, size: int, seconds: float, looked: int
    ) -> None:
        """``features``: pooled, of the held-out photos; ``looked``: at so many photos of that size in that time."""
        model.eval()
        x = features.to(self.device)
        logits = model.tagger.classify(x[:, :, None, None]).logits.cpu()
        seen = EyesOutput(logits, model.shows(x).cpu(), model.evokes(x).cpu())
        examples, rows = self.examples, self.examples.dev
        found = eyes_figures(
            seen, self.part, examples.tags, self.truth, self.described, examples.shows[rows], examples.evokes[rows]
        )
        pace = {"size": size, "seconds": round(seconds), "photos/s": round(looked / seconds, 1)}
        found = {"stage": stage, **found, **pace}
        line = json.dumps(found)
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def eyes_loss(model: EyesStudent, seen: Tagged, examples: EyesExamples, rows: Tensor, config: EyesConfig) -> Tensor:
    """Weighted cross-entropy per photo, plus the distances from the teacher's views of described photos."""
    place = seen.features.device
    targets, weights = examples.targets[rows].to(place), examples.weights[rows].to(place)
    loss = nn.functional.binary_cross_entropy_with_logits(seen.logits, targets, weights, reduction="sum")
    loss = loss / (10 * len(rows))
    for head, views, share in (
        (model.shows, examples.shows, config.shows_weight),
        (model.evokes, examples.evokes, config.evokes_weight),
    ):
        wanted = views[rows].to(place)
        told = wanted.any(1)
        if told.any():
            loss = loss + share * (1 - nn.functional.cosine_similarity(head(seen.features[told]), wanted[told])).mean()
    return loss


def probe_stage(
    stage: str,
    path: Path,
    model: EyesStudent,
    features: Tensor,
    evaluation: HeldOutEvaluation,
    config: EyesConfig,
    device: torch.device,
) -> None:
    """On fixed features; the model as it is then is kept, and read where it is there already."""
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True, map_location=device))
        return
    started = time.monotonic()
    probe(model, features, evaluation.examples, config, device)
    seconds, looked = time.monotonic() - started, config.probe_epochs * len(evaluation.examples.train)
    evaluation.write(
        stage, model, features[evaluation.examples.dev], size=config.square().size, seconds=seconds, looked=looked
    )
    save_checkpoint(model.state_dict(), path)


def probe(
    model: EyesStudent, features: Tensor, examples: EyesExamples, config: EyesConfig, device: torch.device
) -> None:
    """The heads on fixed pooled features: with regions pooled by their mean, this is exact."""
    torch.manual_seed(config.seed)
    optimizer = torch.optim.AdamW(model.heads(), config.probe_rate, weight_decay=config.weight_decay)
    batches = [rows for epoch in range(config.probe_epochs) for rows in epoch_rows(examples, config, epoch).split(256)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.probe_rate, total_steps=len(batches) + 1, pct_start=0.1
    )
    model.train()
    for rows in track(batches, "heads"):
        seen = model.tagger.classify(features[rows].to(device)[:, :, None, None])
        optimizer_step(eyes_loss(model, seen, examples, rows, config), optimizer)
        schedule.step()


def fine_tune(
    model: EyesStudent, examples: EyesExamples, evaluation: HeldOutEvaluation, config: EyesConfig, device: torch.device
) -> None:
    """End to end; batch-norm statistics stay those of the start, its scales and shifts are trained."""
    groups: list[dict[str, Any]] = [
        {"params": [*model.tagger.backbone.parameters(), *model.classes.parameters()], "lr": config.rate},
        {"params": model.heads(), "lr": config.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    sizes = [size for size, epochs in zip(config.sizes, config.epochs, strict=True) for _ in range(epochs)]
    batches = [epoch_rows(examples, config, epoch).split(config.batch) for epoch in range(len(sizes))]
    total = sum(map(len, batches))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [config.rate, config.head_rate], total_steps=total + 1, pct_start=0.1
    )
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = config.out / "tuning.pt"
    at = resumed(parts, checkpoint, device)
    log = TrainingLog(config.out / "tuning.csv")
    model.to(memory_format=torch.channels_last)
    ends = list(accumulate(map(len, batches)))
    for epoch, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        if at >= end:
            continue
        left = batches[epoch][len(batches[epoch]) - (end - at) :]
        square = replace(config.square(), size=size)
        data = Pixels(examples.photos, square, augment=True, smallest=config.smallest, seed=config.seed + epoch)
        started, looked = time.monotonic(), 0
        for pixels, rows in photo_loader(data, left, config):
            torch.manual_seed(config.seed * 1_000_003 + at)  # dropout depends on the step alone
            loss = fine_tuning_loss(
                model, pixels.to(device, memory_format=torch.channels_last), examples, rows, config, device
            )
            optimizer_step(loss, optimizer)
            schedule.step()
            at += 1
            looked += len(rows)
            if at % config.save_every == 0 and at < end:
                speed = looked / (time.monotonic() - started)
                log.write("tuning", at, {"of": total, "size": size, "loss": loss.item(), "photos/s": speed})
                save_checkpoint({**{name: part.state_dict() for name, part in parts.items()}, "step": at}, checkpoint)
        seconds = time.monotonic() - started
        features = held_out_features(model, examples, config, device)
        evaluation.write(
            f"epoch {epoch + 1} of {len(sizes)}", model, features, size=size, seconds=seconds, looked=looked
        )
        save_checkpoint({**{name: part.state_dict() for name, part in parts.items()}, "step": at}, checkpoint)


def fine_tuning_loss(
    model: EyesStudent, pixels: Tensor, examples: EyesExamples, rows: Tensor, config: EyesConfig, device: torch.device
) -> Tensor:
    model.eval()  # batch norms as they are
    model.tagger.context.train()
    model.tagger.sharpness = config.sharpness
    with autocast(device):
        maps = model.tagger.backbone(pixels)
    maps = maps.float()
    loss = eyes_loss(model, model.tagger.classify(maps), examples, rows, config)
    model.tagger.sharpness = 0.0
    remembered: Tensor = model.classes(maps).log_softmax(1)
    return loss - config.class_weight * (examples.classes[rows].to(device) * remembered).sum(1).mean()


def photo_loader(data: Pixels, batches: Sequence[Tensor], config: EyesConfig) -> DataLoader[tuple[Tensor, int]]:
    workers: dict[str, Any] = {"num_workers": config.workers}
    if config.workers:  # forked after torch has computed something, they would hang
        workers |= {"multiprocessing_context": "spawn"}
    return DataLoader(data, batch_sampler=[rows.tolist() for rows in batches], **workers)


def epoch_rows(examples: EyesExamples, config: EyesConfig, epoch: int) -> Tensor:
    """Rows of one epoch: as many as there are to learn from, those with rare tags more often than others.

    A photo's share is that of its rarest tag, by sqrt(rare / share of photos with it) where that is above 1 (Gupta et
    al. 2019), three times at most.
    """
    draws = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    shown = examples.targets[examples.train] >= 0.99
    often = (config.rare / shown.float().mean(0).clamp(min=1e-6)).sqrt().clamp(1, 3)
    repeats = torch.where(shown, often, 1.0).amax(1)
    expected = repeats * len(repeats) / repeats.sum()
    times = (expected + torch.rand(len(expected), generator=draws)).floor().long()
    rows = examples.train.repeat_interleave(times)
    return rows[torch.randperm(len(rows), generator=draws)]


def held_out_features(model: EyesStudent, examples: EyesExamples, config: EyesConfig, device: torch.device) -> Tensor:
    """Pooled features (N, F) of the held-out photos as they are."""
    photos = [examples.photos[row] for row in examples.dev.tolist()]
    maps = feature_map_batches(model.tagger.backbone.eval(), photos, config.square(), device)
    with torch.no_grad():
        return torch.cat([part.mean((2, 3)).cpu() for part in maps])


def tuned_view(model: EyesStudent, photos: list[Photo], config: EyesConfig, device: torch.device) -> Tensor:
    """Pooled features (N, F) of all photos, kept."""
    features, _ = features_and_classes(
        model.tagger.backbone, model.classes, photos, config.square(), config.out / "features", device
    )
    return features


def write_results(model: EyesStudent, features: Tensor, examples: EyesExamples, config: EyesConfig) -> None:
    """What comes after needs: the tagger, its vocabulary and input, the views' heads, the features of all photos."""
    square = config.square()
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
        "preprocessing": {"size": square.size, "mean": square.mean, "std": square.std},
        "tags": [{"name": tag.name, "kind": tag.kind} for tag in examples.tags],
    }
    (config.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")


def resumed(parts: dict[str, Any], path: Path, device: torch.device) -> int:
    """The step that the checkpoint was taken at, its state put into the parts."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True, map_location=device)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    step_taken: int = saved["step"]
    return step_taken
