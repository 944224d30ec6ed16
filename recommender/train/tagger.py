"""Train the tagger: a linear probe on the starting backbone, every weight end to end, the probe again.

    python -m recommender train tagger --captions DIR --labels DIR --backbone FILE --out DIR [--exclude DIR ...]

Two heads share the feature map: the tags (binary cross-entropy over targets that know what they do not know)
and the teacher's view of the photo's captions (cosine), which keeps what no tag names. Resumable: the same
command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.models import mobilenet_v2

from ..evaluate.metrics import average_precision
from ..tagger import FEATURES, Tagger
from .data import Photo, Pixels, read_photos, read_tags, tag_targets
from .teacher import Space, embed


@dataclass
class Config:
    captions: Path
    labels: Path
    backbone: Path
    out: Path
    exclude: list[Path] = field(default_factory=list)
    size: int = 224
    # The backbone learns from smaller pictures than it will see: crops enlarge what is in them (Touvron et al. 2019).
    tuning_size: int = 176
    dim: int = 128
    # Regions are pooled by a smooth maximum while the backbone learns, by their mean in the end.
    tuning_sharpness: float = 1.0
    probe_epochs: int = 15
    probe_rate: float = 1e-3
    epochs: int = 2
    batch: int = 48
    rate: float = 1e-4
    head_rate: float = 3e-4
    weight_decay: float = 1e-4
    seed: int = 0
    save_every: int = 50
    device: str = "cpu"


class TwoHeads(nn.Module):
    """The tagger, and beside it the head that predicts the teacher's view of the captions (training only)."""

    def __init__(self, tags: int, dim: int) -> None:
        super().__init__()
        self.tagger = Tagger(tags)
        self.view = nn.Linear(FEATURES, dim)


@dataclass
class Lesson:
    """What is known of all photos: tag targets and their weights (N, T), the teacher's views (N, D), the split."""

    photos: list[Photo]
    targets: Tensor
    weights: Tensor
    views: Tensor
    train: Tensor
    dev: Tensor


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m recommender train tagger", description=__doc__)
    for name in ("captions", "labels", "backbone", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    for name in ("epochs", "batch", "seed", "probe-epochs"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Config, name.replace("-", "_")))
    parser.add_argument("--device", default=Config.device)
    train(Config(**vars(parser.parse_args(arguments))))
    return 0


def train(config: Config) -> None:
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    photos = read_photos(config.captions, config.labels, config.exclude)
    tags = read_tags()
    features, classes = starting_view(photos, config)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    lesson = Lesson(photos, *tag_targets(photos, tags, classes), caption_views(photos, config), **split)
    print(f"{len(photos)} photos, {len(tags)} tags, {len(lesson.dev)} photos held out")

    model = TwoHeads(len(tags), config.dim).to(config.device)
    model.tagger.backbone.load_state_dict(
        {
            key.removeprefix("features."): value.float()
            for key, value in load_file(config.backbone).items()
            if key.startswith("features.")
        }
    )
    log = Log(config.out / "tagger.csv")
    probe(model, features, lesson, config)
    log.write("probe", 0, evaluate_heads(model, features, lesson))
    fine_tune(model, lesson, config, log)
    tuned = tuned_features(model, photos, config)
    probe(model, tuned, lesson, config)
    log.write("tuned", 0, evaluate_heads(model, tuned, lesson))
    torch.save(model.state_dict(), config.out / "tagger.pt")


def starting_view(photos: list[Photo], config: Config) -> tuple[Tensor, Tensor]:
    """Pooled features (N, FEATURES) and class probabilities (N, 1000) of the starting backbone; cached."""
    path = config.out / "start.npz"
    if not path.exists():
        network = mobilenet_v2()
        network.load_state_dict({key: value.float() for key, value in load_file(config.backbone).items()})
        network.eval()
        features = pooled_features(network.features, photos, config)
        with torch.inference_mode():
            classes = torch.cat([network.classifier(part.float()).softmax(1).half() for part in features.split(512)])
        np.savez(path, features=features.numpy(), classes=classes.numpy())
    stored = np.load(path)
    return torch.from_numpy(stored["features"]).float(), torch.from_numpy(stored["classes"]).float()


def tuned_features(model: TwoHeads, photos: list[Photo], config: Config) -> Tensor:
    """Pooled features (N, FEATURES) of the tuned backbone; kept for the matcher's training."""
    path = config.out / "tuned.npy"
    if not path.exists():
        np.save(path, pooled_features(model.tagger.backbone.eval(), photos, config).numpy())
    return torch.from_numpy(np.load(path)).float()


@torch.inference_mode()
def pooled_features(backbone: nn.Module, photos: list[Photo], config: Config) -> Tensor:
    """In half precision, (N, FEATURES)."""
    backbone.to(config.device).to(memory_format=torch.channels_last)
    found = [
        backbone(pixels.to(config.device, memory_format=torch.channels_last)).mean((2, 3)).half().cpu()
        for pixels, _ in track(DataLoader(Pixels(photos, config.size, augment=False), 64), "features")
    ]
    return torch.cat(found)


def caption_views(photos: list[Photo], config: Config) -> Tensor:
    """The teacher's view of each photo: the mean of its captions', or of its labels in a sentence, (N, D)."""
    vectors = embed([text for photo in photos for text in texts_of(photo)], config.out)
    space = Space.fit(vectors, vectors, config.dim)
    return space.of_photos(vectors, [len(texts_of(photo)) for photo in photos])


def texts_of(photo: Photo) -> list[str]:
    return list(photo.captions) or [f"a photo of {', '.join(sorted(photo.labels))}"]


def loss_of(logits: Tensor, view: Tensor, lesson: Lesson, rows: Tensor) -> Tensor:
    """Weighted cross-entropy per photo, plus the distance from the teacher's view."""
    targets, weights, views = (part[rows].to(view.device) for part in (lesson.targets, lesson.weights, lesson.views))
    tagging = nn.functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum") / len(logits)
    return tagging / 10 + 2 * (1 - nn.functional.cosine_similarity(view, views)).mean()


def probe(model: TwoHeads, features: Tensor, lesson: Lesson, config: Config) -> None:
    """Both heads anew on fixed pooled features: with regions pooled by their mean, this is exact."""
    known = lesson.weights.sum(0).clamp(min=1)
    prior = ((lesson.targets * lesson.weights).sum(0) / known).clamp(1e-4, 0.5)
    assert model.tagger.classifier.bias is not None
    nn.init.zeros_(model.tagger.classifier.weight)
    with torch.no_grad():
        model.tagger.classifier.bias.copy_(prior.logit())
    heads = [*model.tagger.classifier.parameters(), *model.view.parameters()]
    optimizer = torch.optim.AdamW(heads, config.probe_rate, weight_decay=config.weight_decay)
    for _ in track(range(config.probe_epochs), "probe"):
        for chosen in lesson.train[torch.randperm(len(lesson.train))].split(256):
            x = features[chosen].to(config.device)
            logits = model.tagger.classifier(x[:, :, None, None]).flatten(1)
            loss = loss_of(logits, model.view(x), lesson, chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fine_tune(model: TwoHeads, lesson: Lesson, config: Config, log: Log) -> None:
    """End to end; batch-norm statistics stay those of the start, its scales and shifts are trained."""
    groups = [
        {"params": list(model.tagger.backbone.parameters()), "lr": config.rate},
        {"params": [*model.tagger.classifier.parameters(), *model.view.parameters()], "lr": config.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    epoch_steps = math.ceil(len(lesson.train) / config.batch)
    total = config.epochs * epoch_steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [config.rate, config.head_rate], total_steps=total + 1, pct_start=0.1
    )
    step = 0
    checkpoint = config.out / "tuning.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        step = saved["step"]
    data = Pixels([lesson.photos[row] for row in lesson.train.tolist()], config.tuning_size, augment=True)
    model.eval().to(memory_format=torch.channels_last)
    model.tagger.sharpness = config.tuning_sharpness
    while step < total:
        epoch, skip = divmod(step, epoch_steps)
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(config.seed + epoch)).tolist()
        batches = [order[start : start + config.batch] for start in range(0, len(order), config.batch)]
        for pixels, places in track(DataLoader(data, batch_sampler=batches[skip:]), f"epoch {epoch + 1}"):
            seen = model.tagger(pixels.to(config.device, memory_format=torch.channels_last))
            loss = loss_of(seen.logits, model.view(seen.features), lesson, lesson.train[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step % config.save_every == 0 or step == total:
                parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
                fresh = checkpoint.with_suffix(".part")
                torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step}, fresh)
                fresh.replace(checkpoint)
                log.write("tuning", step, {"loss": loss.item()})
    model.tagger.sharpness = 0.0


@torch.inference_mode()
def evaluate_heads(model: TwoHeads, features: Tensor, lesson: Lesson) -> dict[str, float]:
    """On the held-out photos: mean average precision of the tags that at least 10 of them show, and how near the
    teacher's view is."""
    x = features[lesson.dev]
    logits = model.tagger.classifier(x[:, :, None, None]).flatten(1)
    truth, known = lesson.targets[lesson.dev] >= 0.5, lesson.weights[lesson.dev] >= 0.3
    precisions = []
    for column in range(truth.shape[1]):
        rated = known[:, column]
        if truth[rated, column].sum() >= 10:
            precisions.append(average_precision(logits[rated, column].numpy(), truth[rated, column].numpy()))
    views = lesson.views[lesson.dev]
    near = nn.functional.normalize(model.view(x), dim=1) @ views.T
    return {
        "mAP": float(np.mean(precisions)),
        "tags": len(precisions),
        "view cosine": float(near.diag().mean()),
        "view recall@10": recall(near, 10),
    }


def recall(near: Tensor, depth: int) -> float:
    """How often the own view is among the nearest, from cosines (N, N). Photos of the same labels share a view: a tie
    is no miss."""
    return float(((near > near.diag()[:, None]).sum(1) < depth).float().mean())


class Log:
    """Figures by step as rows of a CSV: phase, step, name, value."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, phase: str, step: int, figures: dict[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([phase, step, name, round(value, 5)] for name, value in figures.items())
        print(phase, step, {name: round(value, 4) for name, value in figures.items()}, flush=True)

    def last(self) -> dict[str, float]:
        """The newest value of each figure, by "phase: name"."""
        with self.path.open(newline="") as file:
            return {f"{phase}: {name}": float(value) for phase, _, name, value in csv.reader(file)}
