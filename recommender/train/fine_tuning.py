"""What the trainings of the tagger and of the eyes share: a linear probe of the heads, and fine-tuning.

A student is a tagger with more heads on its feature map: heads for the teacher's vectors, and the classifier of the
backbone's own ImageNet training, whose outputs are distilled, so that the backbone keeps what hardly any training photo
shows (learning without forgetting, Li and Hoiem 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

from ..tagger import Tagged, Tagger
from .data import TagSpec
from .distributed import autocast, optimizer_step
from .records import save_checkpoint


class Student(nn.Module):
    """The tagger and the backbone's ImageNet classifier; subclasses add the heads for the teacher's vectors."""

    def __init__(self, tags: int, backbone: str, classes: nn.Module) -> None:
        super().__init__()
        self.tagger = Tagger(tags, backbone=backbone)
        self.classes = classes

    def heads(self) -> list[nn.Parameter]:
        """All parameters but the backbone's and its classifier's."""
        return [
            value for name, value in self.named_parameters() if not name.startswith(("tagger.backbone.", "classes."))
        ]


@torch.no_grad()
def initialise_tag_head(
    tagger: Tagger, classifier: nn.Module, targets: Tensor, weights: Tensor, tags: Sequence[TagSpec]
) -> None:
    """Start tags with ImageNet classes from the classifier's rows, and all biases from the tags' frequencies."""
    known = weights.sum(0).clamp(min=1)
    prior = ((targets * weights).sum(0) / known).clamp(1e-4, 0.5).logit()
    head = tagger.classifier
    assert head.bias is not None
    class_head = [layer for layer in classifier.modules() if isinstance(layer, nn.Linear)][-1]
    head.weight.zero_()
    head.bias.copy_(prior)
    for column, tag in enumerate(tags):
        if tag.classes:
            row = class_head.weight[list(tag.classes)].mean(0) - class_head.weight.mean(0)
            head.weight[column] = row[:, None, None]
            head.bias[column] = prior[column] - 2  # without it, photos without the class score too high


def linear_probe(
    model: Student,
    features: Tensor,
    batches: Iterable[Tensor],
    steps: int,
    loss: Callable[[Tagged, Tensor], Tensor],
    *,
    rate: float,
    weight_decay: float,
) -> None:
    """Fit the heads on fixed pooled features (N, F). This is exact, since regions are pooled by their mean.

    ``batches``: rows of ``features``, ``steps`` batches in all. ``loss``: of the tagger's output and the rows.
    """
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(model.heads(), rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
    model.train()
    for rows in track(batches, "probe", total=steps):
        tagged = model.tagger.classify(features[rows].to(device)[:, :, None, None])
        optimizer_step(loss(tagged, rows), optimizer)
        schedule.step()


class FineTuning:
    """A student with its optimizer and schedule, and the number of steps taken; a checkpoint holds all of these.

    ``rate``: of the backbone and its classifier. ``head_rate``: of the other heads.
    """

    def __init__(
        self, model: Student, steps: int, checkpoint: Path, *, rate: float, head_rate: float, weight_decay: float
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": [*model.tagger.backbone.parameters(), *model.classes.parameters()], "lr": rate},
            {"params": model.heads(), "lr": head_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, [rate, head_rate], total_steps=steps + 1, pct_start=0.1
        )
        self.model, self.checkpoint = model, checkpoint
        self.steps_taken = 0

    def resume(self) -> None:
        """Load the checkpoint, if there is one."""
        if self.checkpoint.exists():
            device = next(self.model.parameters()).device
            saved = torch.load(self.checkpoint, weights_only=True, map_location=device)
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self.steps_taken = saved["step"]

    def step(self, loss: Tensor) -> None:
        optimizer_step(loss, self.optimizer)
        self.schedule.step()
        self.steps_taken += 1

    def save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        save_checkpoint({**state, "step": self.steps_taken}, self.checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}


def tag_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy per photo, divided by 10; (B, T) each."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
    return loss / (10 * len(logits))


def fine_tuning_loss(
    model: Student,
    pixels: Tensor,
    rows: Tensor,
    loss: Callable[[Tagged, Tensor], Tensor],
    class_probabilities: Tensor,
    *,
    sharpness: float,
    class_weight: float,
) -> Tensor:
    """Return the heads' ``loss`` on the photos of ``rows``, pixels (B, 3, S, S), plus ``class_weight`` times the
    cross-entropy of the backbone's classes with the starting backbone's probabilities (B, C).

    Batch-norm statistics stay those of the start; their scales and shifts are trained.
    """
    model.eval()  # batch norms use their statistics
    model.tagger.context.train()  # with dropout
    with autocast(pixels.device):
        maps = model.tagger.backbone(pixels)
    maps = maps.float()
    model.tagger.sharpness = sharpness
    total = loss(model.tagger.classify(maps), rows)
    model.tagger.sharpness = 0.0
    log_probabilities: Tensor = model.classes(maps).log_softmax(1)
    return total - class_weight * (class_probabilities * log_probabilities).sum(1).mean()
