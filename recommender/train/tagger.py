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
from .run import (
    TrainingLog,
    autocast,
    broadcast_weights,
    join_process_group,
    optimizer_step,
    rank,
    rank_zero_first,
    save_checkpoint,
    world_size,
)
from .teacher import Space, embed


@dataclass
class TaggerConfig:
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


class TaggerStudent(nn.Module):
    """The tagger, and beside it the heads of its training: the teacher's view, the backbone's own classes."""

    def __init__(self, tags: int, dim: int, backbone: str, classes: nn.Module | None = None) -> None:
        super().__init__()
        self.tagger = Tagger(tags, backbone=backbone)
        self.view = nn.Linear(BACKBONES[backbone], dim)
        self.classes = classes


@dataclass
class TaggerExamples:
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
    parser.add_argument(
        "--backbone", choices=sorted(BACKBONES), default=TaggerConfig.backbone, help="what --weights holds"
    )
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="folders of photos to keep unseen")
    for name in ("epochs", "batch", "seed", "probe-epochs", "size", "tuning-size"):
        parser.add_argument(f"--{name}", type=int, default=getattr(TaggerConfig, name.replace("-", "_")))
    parser.add_argument("--device", default=TaggerConfig.device, help="cpu, cuda or auto")
    train(TaggerConfig(**vars(parser.parse_args(arguments))))
    return 0


def train(config: TaggerConfig) -> None:
    device = join_process_group(config.device)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    log = TrainingLog(config.out / "tagger.csv")
    tags = read_tags()
    backbone, classifier = load_backbone(config.backbone, config.weights)
    model = TaggerStudent(len(tags), config.dim, config.backbone, classifier).to(device)
    model.tagger.backbone.load_state_dict(backbone.state_dict())
    with rank_zero_first():
        photos = read_photos(config.captions, config.labels, config.exclude)
        features, classes = starting_features_and_classes(model, photos, config, device)
        views = caption_views(photos, config)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    examples = TaggerExamples(photos, *tag_targets(photos, tags, classes), views, classes, **split)
    print(f"{len(photos)} photos, {len(tags)} tags, {len(examples.dev)} photos held out")

    assert model.classes is not None
    initialise_tag_head(model.tagger, model.classes, examples.targets, examples.weights, tags)
    probe(model, features, examples, config, device)
    log.write("probe", 0, held_out_figures(model, features, examples, device))
    broadcast_weights(model)
    fine_tune(model, examples, config, log, device)
    with rank_zero_first():
        tuned = tuned_features(model, photos, config, device)
    probe(model, tuned, examples, config, device)
    log.write("tuned", 0, held_out_figures(model, tuned, examples, device))
    if rank() == 0:
        torch.save(model.tagger.cpu().state_dict(), config.out / "tagger.pt")
        log.plot()


@torch.no_grad()
def starting_features_and_classes(
    model: TaggerStudent, photos: list[Photo], config: TaggerConfig, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pooled features (N, F) and class probabilities (N, 1000) of the starting backbone; cached."""
    path = config.out / "start.npz"
    if not path.exists():
        assert model.classes is not None
        model.eval()
        found = []
        for maps in feature_map_batches(model.tagger.backbone, photos, config.square(), device):
            found.append((maps.mean((2, 3)).half().cpu(), model.classes(maps).softmax(1).half().cpu()))
        features, classes = (torch.cat(part).numpy() for part in zip(*found, strict=True))
        np.savez(path, features=features, classes=classes)
    stored = np.load(path)
    return torch.from_numpy(stored["features"]).float(), torch.from_numpy(stored["classes"]).float()


@torch.no_grad()
def tuned_features(model: TaggerStudent, photos: list[Photo], config: TaggerConfig, device: torch.device) -> Tensor:
    """Pooled features (N, F) of the tuned backbone; kept for the matcher's training."""
    path = config.out / "tuned.npy"
    if not path.exists():
        model.eval()
        maps = feature_map_batches(model.tagger.backbone, photos, config.square(), device)
        np.save(path, torch.cat([part.mean((2, 3)).half().cpu() for part in maps]).numpy())
    return torch.from_numpy(np.load(path)).float()


def feature_map_batches(
    backbone: nn.Module, photos: list[Photo], square: Preprocessing, device: torch.device
) -> Iterator[Tensor]:
    """Feature maps (B, F, H, W) of photos as they are, batch by batch."""
    backbone.to(memory_format=torch.channels_last)
    for pixels, _ in track(DataLoader(Pixels(photos, square, augment=False), 64), "features"):
        with autocast(device):
            maps: Tensor = backbone(pixels.to(device, memory_format=torch.channels_last))
        yield maps.float()


def caption_views(photos: list[Photo], config: TaggerConfig) -> Tensor:
    """The teacher's view of each photo: the mean of its captions', or of its labels in a sentence, (N, D)."""
    vectors = embed([text for photo in photos for text in texts_of(photo)], config.out)
    space = Space.fit(vectors, vectors, config.dim)
    return space.of_photos(vectors, [len(texts_of(photo)) for photo in photos])


def texts_of(photo: Photo) -> list[str]:
    return list(photo.captions) or [f"a photo of {', '.join(sorted(photo.labels))}"]


@torch.no_grad()
def initialise_tag_head(
    tagger: Tagger, classifier: nn.Module, targets: Tensor, weights: Tensor, tags: Sequence[TagSpec]
) -> None:
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


def tagger_loss(
    model: TaggerStudent, seen: Tensor, logits: Tensor, examples: TaggerExamples, rows: Tensor, config: TaggerConfig
) -> Tensor:
    """Weighted cross-entropy per photo, plus the distance from the teacher's view; ``seen``: pooled features."""
    view = model.view(seen)
    targets, weights, views = (
        part[rows].to(view.device) for part in (examples.targets, examples.weights, examples.views)
    )
    tagging = nn.functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum") / len(logits)
    return tagging / 10 + config.view_weight * (1 - nn.functional.cosine_similarity(view, views)).mean()


def probe(
    model: TaggerStudent, features: Tensor, examples: TaggerExamples, config: TaggerConfig, device: torch.device
) -> None:
    """The heads on fixed pooled features: with regions pooled by their mean, this is exact."""
    heads = [*model.tagger.classifier.parameters(), *model.tagger.context.parameters(), *model.view.parameters()]
    optimizer = torch.optim.AdamW(heads, config.probe_rate, weight_decay=config.weight_decay)
    steps = config.probe_epochs * math.ceil(len(examples.train) / 256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.probe_rate, total_steps=steps + 1, pct_start=0.1)
    model.train()
    for _ in track(range(config.probe_epochs), "probe"):
        for chosen in examples.train[torch.randperm(len(examples.train))].split(256):
            seen = model.tagger.classify(features[chosen].to(device)[:, :, None, None])
            optimizer_step(tagger_loss(model, seen.features, seen.logits, examples, chosen, config), optimizer)
            schedule.step()


def fine_tune(
    model: TaggerStudent, examples: TaggerExamples, config: TaggerConfig, log: TrainingLog, device: torch.device
) -> None:
    """End to end; batch-norm statistics stay those of the start, its scales and shifts are trained."""
    assert model.classes is not None
    heads = [part for name, part in model.tagger.named_children() if name != "backbone"]
    groups: list[dict[str, Any]] = [
        {"params": [*model.tagger.backbone.parameters(), *model.classes.parameters()], "lr": config.rate},
        {"params": [p for part in [*heads, model.view] for p in part.parameters()], "lr": config.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    epoch_steps = len(_epoch_batches(examples, config, 0))
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
    data = Pixels(examples.photos, replace(config.square(), size=config.tuning_size), augment=True)
    model.to(memory_format=torch.channels_last)
    while at < total:
        epoch, skip = divmod(at, epoch_steps)
        batches = _epoch_batches(examples, config, epoch)[skip:]
        model.eval()  # batch norms as they are
        model.tagger.context.train()
        model.tagger.sharpness = config.tuning_sharpness
        for pixels, rows in track(DataLoader(data, batch_sampler=batches), f"epoch {epoch + 1}/{config.epochs}"):
            with autocast(device):
                maps = model.tagger.backbone(pixels.to(device, memory_format=torch.channels_last))
            seen = model.tagger.classify(maps.float())
            loss = tagger_loss(model, seen.features, seen.logits, examples, rows, config)
            remembered = model.classes(maps.float()).log_softmax(1)
            opinion = examples.classes[rows].to(device)
            loss = loss - config.class_weight * (opinion * remembered).sum(1).mean()
            optimizer_step(loss, optimizer)
            schedule.step()
            at += 1
            if at % config.save_every == 0 or at == total:
                log.write("tuning", at, {"loss": loss.item()})
                if rank() == 0:
                    save_checkpoint(
                        {**{name: part.state_dict() for name, part in parts.items()}, "step": at}, checkpoint
                    )
        model.tagger.sharpness = 0.0
        log.write("tuning", at, _sampled_figures(model, examples, config, device))


def _epoch_batches(examples: TaggerExamples, config: TaggerConfig, epoch: int) -> list[list[int]]:
    """Batches of rows for this process: all photos with captions, and a share of the others."""
    order = torch.Generator().manual_seed(config.seed + epoch)
    told = torch.tensor([bool(examples.photos[row].captions) for row in examples.train.tolist()])
    others = examples.train[~told]
    others = others[torch.randperm(len(others), generator=order)[: round(config.labelled_share * len(others))]]
    rows = torch.cat([examples.train[told], others])
    rows = rows[torch.randperm(len(rows), generator=order)]
    rows = rows[: len(rows) // world_size() * world_size()][rank() :: world_size()]
    return [part.tolist() for part in rows.split(config.batch)]


@torch.no_grad()
def _sampled_figures(
    model: TaggerStudent, examples: TaggerExamples, config: TaggerConfig, device: torch.device
) -> dict[str, float]:
    """The figures on at most 500 held-out photos with captions."""
    model.eval()
    rows = [row for row in examples.dev.tolist() if examples.photos[row].captions][:500] or examples.dev[:500].tolist()
    maps = feature_map_batches(model.tagger.backbone, [examples.photos[row] for row in rows], config.square(), device)
    features = torch.cat([part.mean((2, 3)) for part in maps])
    return _head_figures(model, features, examples, torch.tensor(rows), device)


def held_out_figures(
    model: TaggerStudent, features: Tensor, examples: TaggerExamples, device: torch.device
) -> dict[str, float]:
    """On all held-out photos, from pooled features of all photos (N, F)."""
    return _head_figures(model, features[examples.dev], examples, examples.dev, device)


@torch.no_grad()
def _head_figures(
    model: TaggerStudent, features: Tensor, examples: TaggerExamples, rows: Tensor, device: torch.device
) -> dict[str, float]:
    """Mean average precision of the tags that at least 10 of the photos show, and how near the teacher's view is."""
    model.eval()
    x = features.to(device)
    logits = model.tagger.classify(x[:, :, None, None]).logits.cpu().numpy()
    truth, known = (examples.targets[rows] >= 0.5).numpy(), (examples.weights[rows] >= 0.3).numpy()
    precisions = []
    for column in range(truth.shape[1]):
        rated = known[:, column]
        if truth[rated, column].sum() >= 10:
            precisions.append(average_precision(logits[rated, column], truth[rated, column]))
    near = nn.functional.normalize(model.view(x), dim=1).cpu() @ examples.views[rows].T
    return {
        "mAP": float(np.mean(precisions)) if precisions else 0.0,
        "tags": len(precisions),
        "view cosine": float(near.diag().mean()),
        "view recall@10": own_view_recall(near, 10),
    }


def own_view_recall(near: Tensor, depth: int) -> float:
    """How often the own view is among the nearest, from cosines (N, N). Photos of the same labels share a view: a tie
    is no miss."""
    return float(((near > near.diag()[:, None]).sum(1) < depth).float().mean())
