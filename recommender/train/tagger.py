"""Train the tagger: heads on the starting backbone, every weight end to end, the heads again.

    python -m recommender train tagger --captions DIR --labels DIR --backbone NAME --weights FILE --out DIR

Three heads share the feature map: the tags (binary cross-entropy over targets that know what they do not know), the
teacher's view of the photo's captions (cosine), which keeps what no tag names, and the backbone's own ImageNet classes
(learning without forgetting, Li and Hoiem 2016), which keeps what hardly any training photo shows. Resumable: the same
command goes on from the last checkpoint. ``torchrun --nproc-per-node N -m recommender train ...`` uses N devices.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..backbones import BACKBONES, load_backbone, starting_input
from ..evaluate.ranking_metrics import average_precision
from ..images import Preprocessing
from ..tagger import Tagger
from .data import Photo, Pixels, TagSpec, read_photos, read_tags, tag_targets
from .run import Log, first_alone, half, join, keep, processes, rank, same_everywhere, step
from .teacher import Space, embed


@dataclass
class Config:
    captions: Path
    labels: Path
    weights: Path
    out: Path
    backbone: str = "mobilenet_v2"
    exclude: list[Path] = field(default_factory=list)
    size: int = 224
    # The backbone learns from smaller pictures than it will see: crops enlarge what is in them (Touvron et al. 2019).
    tuning_size: int = 160
    dim: int = 128
    # Regions are pooled by a smooth maximum while the backbone learns, by their mean in the end.
    tuning_sharpness: float = 1.0
    probe_epochs: int = 15
    probe_rate: float = 1e-3
    epochs: int = 6
    labelled_share: float = 0.5  # of the photos without captions, in each epoch
    batch: int = 48
    rate: float = 2e-4
    head_rate: float = 5e-4
    weight_decay: float = 1e-4
    view_weight: float = 2.0
    class_weight: float = 0.5
    seed: int = 0
    save_every: int = 50
    device: str = "cpu"

    def square(self) -> Preprocessing:
        return replace(starting_input(self.backbone), size=self.size)


class Student(nn.Module):
    """The tagger, and beside it the heads of its training: the teacher's view, the backbone's own classes."""

    def __init__(self, tags: int, dim: int, backbone: str, classes: nn.Module | None = None) -> None:
        super().__init__()
        self.tagger = Tagger(tags, backbone=backbone)
        self.view = nn.Linear(BACKBONES[backbone], dim)
        self.classes = classes


@dataclass
class Lesson:
    """What is known of all photos: tag targets and their weights (N, T), the teacher's views (N, D), the starting
    backbone's class probabilities (N, 1000), the split."""

    photos: list[Photo]
    targets: Tensor
    weights: Tensor
    views: Tensor
    classes: Tensor
    train: Tensor
    dev: Tensor


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recommender train tagger",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("captions", "labels", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--backbone", choices=sorted(BACKBONES), default=Config.backbone, help="what --weights holds")
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    for name in ("epochs", "batch", "seed", "probe-epochs", "size", "tuning-size"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Config, name.replace("-", "_")))
    parser.add_argument("--device", default=Config.device, help="cpu, cuda or auto")
    train(Config(**vars(parser.parse_args(arguments))))
    return 0


def train(config: Config) -> None:
    device = join(config.device)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    log = Log(config.out / "tagger.csv")
    tags = read_tags()
    backbone, classifier = load_backbone(config.backbone, config.weights)
    model = Student(len(tags), config.dim, config.backbone, classifier).to(device)
    model.tagger.backbone.load_state_dict(backbone.state_dict())
    with first_alone():
        photos = read_photos(config.captions, config.labels, config.exclude)
        features, classes = starting_view(model, photos, config, device)
        views = caption_views(photos, config)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    lesson = Lesson(photos, *tag_targets(photos, tags, classes), views, classes, **split)
    print(f"{len(photos)} photos, {len(tags)} tags, {len(lesson.dev)} photos held out")

    assert model.classes is not None
    begin(model.tagger, model.classes, lesson.targets, lesson.weights, tags)
    probe(model, features, lesson, config, device)
    log.write("probe", 0, evaluate_heads(model, features, lesson, device))
    same_everywhere(model)
    fine_tune(model, lesson, config, log, device)
    with first_alone():
        tuned = tuned_features(model, photos, config, device)
    probe(model, tuned, lesson, config, device)
    log.write("tuned", 0, evaluate_heads(model, tuned, lesson, device))
    if rank() == 0:
        torch.save(model.tagger.cpu().state_dict(), config.out / "tagger.pt")
        log.plot()


@torch.no_grad()
def starting_view(model: Student, photos: list[Photo], config: Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pooled features (N, F) and class probabilities (N, 1000) of the starting backbone; cached."""
    path = config.out / "start.npz"
    if not path.exists():
        assert model.classes is not None
        model.eval()
        found = []
        for maps in look(model.tagger.backbone, photos, config.square(), device):
            found.append((maps.mean((2, 3)).half().cpu(), model.classes(maps).softmax(1).half().cpu()))
        features, classes = (torch.cat(part).numpy() for part in zip(*found, strict=True))
        np.savez(path, features=features, classes=classes)
    stored = np.load(path)
    return torch.from_numpy(stored["features"]).float(), torch.from_numpy(stored["classes"]).float()


@torch.no_grad()
def tuned_features(model: Student, photos: list[Photo], config: Config, device: torch.device) -> Tensor:
    """Pooled features (N, F) of the tuned backbone; kept for the matcher's training."""
    path = config.out / "tuned.npy"
    if not path.exists():
        model.eval()
        maps = look(model.tagger.backbone, photos, config.square(), device)
        np.save(path, torch.cat([part.mean((2, 3)).half().cpu() for part in maps]).numpy())
    return torch.from_numpy(np.load(path)).float()


def look(backbone: nn.Module, photos: list[Photo], square: Preprocessing, device: torch.device) -> Iterator[Tensor]:
    """Feature maps (B, F, H, W) of photos as they are, batch by batch."""
    backbone.to(memory_format=torch.channels_last)
    for pixels, _ in track(DataLoader(Pixels(photos, square, augment=False), 64), "features"):
        with half(device):
            maps: Tensor = backbone(pixels.to(device, memory_format=torch.channels_last))
        yield maps.float()


def caption_views(photos: list[Photo], config: Config) -> Tensor:
    """The teacher's view of each photo: the mean of its captions', or of its labels in a sentence, (N, D)."""
    vectors = embed([text for photo in photos for text in texts_of(photo)], config.out)
    space = Space.fit(vectors, vectors, config.dim)
    return space.of_photos(vectors, [len(texts_of(photo)) for photo in photos])


def texts_of(photo: Photo) -> list[str]:
    return list(photo.captions) or [f"a photo of {', '.join(sorted(photo.labels))}"]


@torch.no_grad()
def begin(tagger: Tagger, classifier: nn.Module, targets: Tensor, weights: Tensor, tags: Sequence[TagSpec]) -> None:
    """Tags start from the rows of their ImageNet classes, the others from how often they are in the photos."""
    known = weights.sum(0).clamp(min=1)
    prior = ((targets * weights).sum(0) / known).clamp(1e-4, 0.5).logit()
    tagging = tagger.classifier
    assert tagging.bias is not None
    own = [layer for layer in classifier.modules() if isinstance(layer, nn.Linear)][-1]
    tagging.weight.zero_()
    tagging.bias.copy_(prior)
    for column, tag in enumerate(tags):
        if tag.classes:
            row = own.weight[list(tag.classes)].mean(0) - own.weight.mean(0)
            tagging.weight[column] = row[:, None, None]
            tagging.bias[column] = prior[column] - 2  # the row alone says too much of photos without the class


def loss_of(model: Student, seen: Tensor, logits: Tensor, lesson: Lesson, rows: Tensor, config: Config) -> Tensor:
    """Weighted cross-entropy per photo, plus the distance from the teacher's view; ``seen``: pooled features."""
    view = model.view(seen)
    targets, weights, views = (part[rows].to(view.device) for part in (lesson.targets, lesson.weights, lesson.views))
    tagging = nn.functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum") / len(logits)
    return tagging / 10 + config.view_weight * (1 - nn.functional.cosine_similarity(view, views)).mean()


def probe(model: Student, features: Tensor, lesson: Lesson, config: Config, device: torch.device) -> None:
    """The heads on fixed pooled features: with regions pooled by their mean, this is exact."""
    heads = [*model.tagger.classifier.parameters(), *model.tagger.context.parameters(), *model.view.parameters()]
    optimizer = torch.optim.AdamW(heads, config.probe_rate, weight_decay=config.weight_decay)
    steps = config.probe_epochs * math.ceil(len(lesson.train) / 256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.probe_rate, total_steps=steps + 1, pct_start=0.1)
    model.train()
    for _ in track(range(config.probe_epochs), "probe"):
        for chosen in lesson.train[torch.randperm(len(lesson.train))].split(256):
            seen = model.tagger.read(features[chosen].to(device)[:, :, None, None])
            step(loss_of(model, seen.features, seen.logits, lesson, chosen, config), optimizer)
            schedule.step()


def fine_tune(model: Student, lesson: Lesson, config: Config, log: Log, device: torch.device) -> None:
    """End to end; batch-norm statistics stay those of the start, its scales and shifts are trained."""
    assert model.classes is not None
    heads = [part for name, part in model.tagger.named_children() if name != "backbone"]
    groups: list[dict[str, Any]] = [
        {"params": [*model.tagger.backbone.parameters(), *model.classes.parameters()], "lr": config.rate},
        {"params": [p for part in [*heads, model.view] for p in part.parameters()], "lr": config.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    epoch_steps = len(_epoch(lesson, config, 0))
    total = config.epochs * epoch_steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [config.rate, config.head_rate], total_steps=total + 1, pct_start=0.1
    )
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    at = 0
    checkpoint = config.out / "tuning.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        at = saved["step"]
    data = Pixels(lesson.photos, replace(config.square(), size=config.tuning_size), augment=True)
    model.to(memory_format=torch.channels_last)
    while at < total:
        epoch, skip = divmod(at, epoch_steps)
        batches = _epoch(lesson, config, epoch)[skip:]
        model.eval()  # batch norms as they are
        model.tagger.context.train()
        model.tagger.sharpness = config.tuning_sharpness
        for pixels, rows in track(DataLoader(data, batch_sampler=batches), f"epoch {epoch + 1}/{config.epochs}"):
            with half(device):
                maps = model.tagger.backbone(pixels.to(device, memory_format=torch.channels_last))
            seen = model.tagger.read(maps.float())
            loss = loss_of(model, seen.features, seen.logits, lesson, rows, config)
            remembered = model.classes(maps.float()).log_softmax(1)
            opinion = lesson.classes[rows].to(device)
            loss = loss - config.class_weight * (opinion * remembered).sum(1).mean()
            step(loss, optimizer)
            schedule.step()
            at += 1
            if at % config.save_every == 0 or at == total:
                log.write("tuning", at, {"loss": loss.item()})
                if rank() == 0:
                    keep({**{name: part.state_dict() for name, part in parts.items()}, "step": at}, checkpoint)
        model.tagger.sharpness = 0.0
        log.write("tuning", at, _check(model, lesson, config, device))


def _epoch(lesson: Lesson, config: Config, epoch: int) -> list[list[int]]:
    """Batches of rows for this process: all photos with captions, and a share of the others."""
    order = torch.Generator().manual_seed(config.seed + epoch)
    told = torch.tensor([bool(lesson.photos[row].captions) for row in lesson.train.tolist()])
    others = lesson.train[~told]
    others = others[torch.randperm(len(others), generator=order)[: round(config.labelled_share * len(others))]]
    rows = torch.cat([lesson.train[told], others])
    rows = rows[torch.randperm(len(rows), generator=order)]
    rows = rows[: len(rows) // processes() * processes()][rank() :: processes()]
    return [part.tolist() for part in rows.split(config.batch)]


@torch.no_grad()
def _check(model: Student, lesson: Lesson, config: Config, device: torch.device) -> dict[str, float]:
    """The figures on at most 500 held-out photos with captions."""
    model.eval()
    rows = [row for row in lesson.dev.tolist() if lesson.photos[row].captions][:500] or lesson.dev[:500].tolist()
    maps = look(model.tagger.backbone, [lesson.photos[row] for row in rows], config.square(), device)
    features = torch.cat([part.mean((2, 3)) for part in maps])
    return _heads_on(model, features, lesson, torch.tensor(rows), device)


def evaluate_heads(model: Student, features: Tensor, lesson: Lesson, device: torch.device) -> dict[str, float]:
    """On all held-out photos, from pooled features of all photos (N, F)."""
    return _heads_on(model, features[lesson.dev], lesson, lesson.dev, device)


@torch.no_grad()
def _heads_on(model: Student, features: Tensor, lesson: Lesson, rows: Tensor, device: torch.device) -> dict[str, float]:
    """Mean average precision of the tags that at least 10 of the photos show, and how near the teacher's view is."""
    model.eval()
    x = features.to(device)
    logits = model.tagger.read(x[:, :, None, None]).logits.cpu().numpy()
    truth, known = (lesson.targets[rows] >= 0.5).numpy(), (lesson.weights[rows] >= 0.3).numpy()
    precisions = []
    for column in range(truth.shape[1]):
        rated = known[:, column]
        if truth[rated, column].sum() >= 10:
            precisions.append(average_precision(logits[rated, column], truth[rated, column]))
    near = nn.functional.normalize(model.view(x), dim=1).cpu() @ lesson.views[rows].T
    return {
        "mAP": float(np.mean(precisions)) if precisions else 0.0,
        "tags": len(precisions),
        "view cosine": float(near.diag().mean()),
        "view recall@10": recall(near, 10),
    }


def recall(near: Tensor, depth: int) -> float:
    """How often the own view is among the nearest, from cosines (N, N). Photos of the same labels share a view: a tie
    is no miss."""
    return float(((near > near.diag()[:, None]).sum(1) < depth).float().mean())
