"""Train the tagger: heads on the starting backbone, every weight end to end, the heads again.

    python -m recommender train tagger --captions DIR --labels DIR --backbone NAME --weights FILE --out DIR

Three heads share the feature map: the tags (binary cross-entropy, weighted by how much is known), the teacher's vector
of the photo's captions (cosine), which keeps what no tag names, and the backbone's own ImageNet classes (learning
without forgetting, Li and Hoiem 2016), which keep what hardly any training photo shows. The same command goes on from
the last checkpoint. ``torchrun --nproc-per-node N -m recommender train ...`` uses N devices.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..backbones import BACKBONES, load_backbone, starting_input
from ..evaluate.ranking_metrics import average_precision, diagonal_recall
from ..images import Preprocessing
from ..tagger import Tagged
from .data import Photo, Pixels, read_photos, read_tags, tag_targets, texts_of
from .distributed import broadcast_weights, join_process_group, rank, rank_zero_first, world_size
from .features import feature_map_batches, pooled_and_classified
from .fine_tuning import FineTuning, Student, fine_tuning_loss, initialise_tag_head, linear_probe, tag_loss
from .records import TrainingLog, save_checkpoint
from .teacher import Space, embed

PROBE_BATCH = 256
CHECKED_PHOTOS = 500  # held-out photos in the figures after each epoch
FEWEST_SHOWN = 10  # held-out photos that must show a tag, or its precision is not measured


@dataclass
class TaggerConfig:
    captions: Path
    labels: Path
    weights: Path
    out: Path
    backbone: str = "mobilenet_v2"
    exclude: list[Path] = field(default_factory=list)
    size: int = 224
    # Fine-tuning uses smaller photos than inference: crops enlarge what is in them (Touvron et al. 2019).
    tuning_size: int = 160
    dim: int = 128
    # Regions are pooled by a smooth maximum during fine-tuning, and by their mean afterwards.
    tuning_sharpness: float = 1.0
    probe_epochs: int = 15
    probe_rate: float = 1e-3
    epochs: int = 6
    labelled_share: float = 0.5  # share of the photos without captions that an epoch uses
    batch: int = 48
    rate: float = 2e-4
    head_rate: float = 5e-4
    weight_decay: float = 1e-4
    view_weight: float = 2.0
    class_weight: float = 0.5
    seed: int = 0
    save_every: int = 50
    device: str = "cpu"

    def preprocessing(self) -> Preprocessing:
        return replace(starting_input(self.backbone), size=self.size)


class TaggerStudent(Student):
    """``view``: the head for the teacher's vector of a photo's captions, (D,)."""

    def __init__(self, tags: int, dim: int, backbone: str, classes: nn.Module) -> None:
        super().__init__(tags, backbone, classes)
        self.view = nn.Linear(BACKBONES[backbone], dim)


@dataclass
class TaggerExamples:
    """All N photos with their targets.

    targets, weights (N, T)    of the tags
    vectors (N, D)             the teacher's of the photos
    classes (N, C)             the starting backbone's class probabilities
    train, dev                 rows of the training split and of the held-out split
    """

    photos: list[Photo]
    targets: Tensor
    weights: Tensor
    vectors: Tensor
    classes: Tensor
    train: Tensor
    dev: Tensor


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recommender train tagger",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = parser.add_argument, TaggerConfig
    add("--captions", type=Path, required=True, help="folder with captions.jsonl and images/")
    add("--labels", type=Path, required=True, help="folder with labels.jsonl and the photos that it names")
    add("--weights", type=Path, required=True, help="file with the backbone's ImageNet weights")
    add("--out", type=Path, required=True, help="folder for the tagger, the figures and the checkpoint")
    add("--backbone", choices=sorted(BACKBONES), default=default.backbone, help="the network that --weights holds")
    add("--exclude", type=Path, nargs="*", default=[], help="folders of photos to leave out, with near-duplicates")
    for name in ("epochs", "batch", "seed", "probe-epochs", "size", "tuning-size"):
        add(f"--{name}", type=int, default=getattr(default, name.replace("-", "_")))
    add("--device", default=default.device, help="cpu, cuda or auto")
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
        vectors = caption_vectors(photos, config)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    examples = TaggerExamples(photos, *tag_targets(photos, tags, classes), vectors, classes, **split)
    print(f"{len(photos)} photos, {len(tags)} tags, {len(examples.dev)} photos held out")

    initialise_tag_head(model.tagger, model.classes, examples.targets, examples.weights, tags)
    probe_heads(model, features, examples, config)
    log.write("probe", 0, held_out_figures(model, features, examples, device))
    broadcast_weights(model)
    fine_tune(model, examples, config, log, device)
    with rank_zero_first():
        tuned = tuned_features(model, photos, config, device)
    probe_heads(model, tuned, examples, config)
    log.write("tuned", 0, held_out_figures(model, tuned, examples, device))
    if rank() == 0:
        save_checkpoint(model.tagger.cpu().state_dict(), config.out / "tagger.pt")
        log.plot()


# Features and the teacher's vectors


@torch.no_grad()
def starting_features_and_classes(
    model: TaggerStudent, photos: list[Photo], config: TaggerConfig, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return pooled features (N, F) and class probabilities (N, C) of the starting backbone, kept in a file."""
    path = config.out / "start.npz"
    if not path.exists():
        model.eval()
        features, classes = pooled_and_classified(map_batches(model, photos, config, device), model.classes)
        np.savez(path, features=features, classes=classes)
    stored = np.load(path)
    return torch.from_numpy(stored["features"]).float(), torch.from_numpy(stored["classes"]).float()


@torch.no_grad()
def tuned_features(model: TaggerStudent, photos: list[Photo], config: TaggerConfig, device: torch.device) -> Tensor:
    """Return pooled features (N, F) of the fine-tuned backbone, kept in a file for the matcher's training."""
    path = config.out / "tuned.npy"
    if not path.exists():
        model.eval()
        maps = map_batches(model, photos, config, device)
        np.save(path, torch.cat([part.mean((2, 3)).half().cpu() for part in maps]).numpy())
    return torch.from_numpy(np.load(path)).float()


def map_batches(
    model: TaggerStudent, photos: list[Photo], config: TaggerConfig, device: torch.device
) -> Iterator[Tensor]:
    batches = feature_map_batches(model.tagger.backbone, photos, config.preprocessing(), device)
    yield from track(batches, "features", total=math.ceil(len(photos) / 64))


def caption_vectors(photos: list[Photo], config: TaggerConfig) -> Tensor:
    """Return the teacher's vectors of the photos, (N, D): the means of their texts' vectors."""
    vectors = embed([text for photo in photos for text in texts_of(photo)], config.out)
    space = Space.fit(vectors, vectors, config.dim)
    return space.of_photos(vectors, [len(texts_of(photo)) for photo in photos])


# Training


def tagger_loss(
    model: TaggerStudent, tagged: Tagged, examples: TaggerExamples, rows: Tensor, config: TaggerConfig
) -> Tensor:
    """Tag loss, plus the cosine distance of the ``view`` head from the teacher's vectors."""
    view = model.view(tagged.features)
    targets, weights, vectors = (
        part[rows].to(view.device) for part in (examples.targets, examples.weights, examples.vectors)
    )
    distance = (1 - nn.functional.cosine_similarity(view, vectors)).mean()
    return tag_loss(tagged.logits, targets, weights) + config.view_weight * distance


def probe_heads(model: TaggerStudent, features: Tensor, examples: TaggerExamples, config: TaggerConfig) -> None:
    def batches() -> Iterator[Tensor]:
        for _ in range(config.probe_epochs):
            yield from examples.train[torch.randperm(len(examples.train))].split(PROBE_BATCH)

    linear_probe(
        model,
        features,
        batches(),
        config.probe_epochs * math.ceil(len(examples.train) / PROBE_BATCH),
        lambda tagged, rows: tagger_loss(model, tagged, examples, rows, config),
        rate=config.probe_rate,
        weight_decay=config.weight_decay,
    )


def fine_tune(
    model: TaggerStudent, examples: TaggerExamples, config: TaggerConfig, log: TrainingLog, device: torch.device
) -> None:
    """Train every weight end to end, from the last checkpoint on."""
    epoch_steps = len(epoch_batches(examples, config, 0))
    total = config.epochs * epoch_steps
    rates = {"rate": config.rate, "head_rate": config.head_rate, "weight_decay": config.weight_decay}
    tuning = FineTuning(model, total, config.out / "tuning.pt", **rates)
    tuning.resume()
    data = Pixels(examples.photos, replace(config.preprocessing(), size=config.tuning_size), augment=True)
    model.to(memory_format=torch.channels_last)
    while tuning.steps_taken < total:
        epoch, skip = divmod(tuning.steps_taken, epoch_steps)
        loader = DataLoader(data, batch_sampler=epoch_batches(examples, config, epoch)[skip:])
        for pixels, rows in track(loader, f"epoch {epoch + 1}/{config.epochs}"):
            loss = fine_tuning_loss(
                model,
                pixels.to(device, memory_format=torch.channels_last),
                rows,
                lambda tagged, rows: tagger_loss(model, tagged, examples, rows, config),
                examples.classes[rows].to(device),
                sharpness=config.tuning_sharpness,
                class_weight=config.class_weight,
            )
            tuning.step(loss)
            if tuning.steps_taken % config.save_every == 0 or tuning.steps_taken == total:
                log.write("tuning", tuning.steps_taken, {"loss": loss.item()})
                if rank() == 0:
                    tuning.save()
        log.write("tuning", tuning.steps_taken, sampled_figures(model, examples, config, device))


def epoch_batches(examples: TaggerExamples, config: TaggerConfig, epoch: int) -> list[list[int]]:
    """Return batches of rows for this rank: all photos with captions, and a share of the others."""
    generator = torch.Generator().manual_seed(config.seed + epoch)
    captioned = torch.tensor([bool(examples.photos[row].captions) for row in examples.train.tolist()])
    others = examples.train[~captioned]
    others = others[torch.randperm(len(others), generator=generator)[: round(config.labelled_share * len(others))]]
    rows = torch.cat([examples.train[captioned], others])
    rows = rows[torch.randperm(len(rows), generator=generator)]
    rows = rows[: len(rows) // world_size() * world_size()][rank() :: world_size()]
    return [batch.tolist() for batch in rows.split(config.batch)]


# Figures


def held_out_figures(
    model: TaggerStudent, features: Tensor, examples: TaggerExamples, device: torch.device
) -> dict[str, float]:
    """Figures on all held-out photos, from pooled features (N, F) of all photos."""
    return head_figures(model, features[examples.dev], examples, examples.dev, device)


@torch.no_grad()
def sampled_figures(
    model: TaggerStudent, examples: TaggerExamples, config: TaggerConfig, device: torch.device
) -> dict[str, float]:
    """Figures on a few held-out photos, with captions where there are any."""
    model.eval()
    captioned = [row for row in examples.dev.tolist() if examples.photos[row].captions]
    rows = captioned[:CHECKED_PHOTOS] or examples.dev[:CHECKED_PHOTOS].tolist()
    maps = map_batches(model, [examples.photos[row] for row in rows], config, device)
    features = torch.cat([part.mean((2, 3)) for part in maps])
    return head_figures(model, features, examples, torch.tensor(rows), device)


@torch.no_grad()
def head_figures(
    model: TaggerStudent, features: Tensor, examples: TaggerExamples, rows: Tensor, device: torch.device
) -> dict[str, float]:
    """Mean average precision of the tags that enough of the photos show, and how near the view is to the teacher's."""
    model.eval()
    x = features.to(device)
    logits = model.tagger.classify(x[:, :, None, None]).logits.cpu().numpy()
    truth, known = (examples.targets[rows] >= 0.5).numpy(), (examples.weights[rows] >= 0.3).numpy()
    precisions = []
    for column in range(truth.shape[1]):
        rated = known[:, column]
        if truth[rated, column].sum() >= FEWEST_SHOWN:
            precisions.append(average_precision(logits[rated, column], truth[rated, column]))
    cosines = (nn.functional.normalize(model.view(x), dim=1).cpu() @ examples.vectors[rows].T).numpy()
    return {
        "mAP": float(np.mean(precisions)) if precisions else 0.0,
        "tags": len(precisions),
        "view cosine": float(cosines.diagonal().mean()),
        "view recall@10": diagonal_recall(cosines, 10),
    }
