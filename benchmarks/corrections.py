"""How fast a person's corrections make the masks better: fine-tuning the foundation model beside RootPainter's U-Net.

A simulated user opens images of one imaging system one after the other, looks at the current mask, and paints short
strokes over its largest errors, root with red and soil with green, as RootPainter asks for. Both learners train on
their own user's strokes for the same CPU time on the same machine:

    fine-tuning   the trainer's own `start_training`, from the given model; measured is the model it saved last
    U-Net         RootPainter's network, data, loss and optimiser (root-painter-trainer), from random weights; measured
                  are its weights at that moment, for its first epoch alone takes longer than this whole table

    python benchmarks/corrections.py DATA --model runs/{dataset}/weights.pth --out corrections.json

Finished rows are kept in the JSON file, so a run that was stopped goes on; the table is written beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from correcting_user import Project, Truth, images_of, strokes_on

from rootpainter_rootfm.files import write_text
from rootpainter_rootfm.learn.metrics import Confusion, pooled

STAGES = ((0, 0.0), (1, 0.5), (2, 1.0), (5, 1.2), (10, 1.4))
"""Corrected images, and the CPU time spent by then in parts of ``--minutes``."""

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One measurement: Dice over the pixels of all test images together, and its mean over them."""

    dataset: str
    learner: str
    corrected: int
    cpu_minutes: float
    dice: float
    mean_dice: float


def main() -> None:
    """Fills in the rows that the JSON file lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with manifest.csv")
    parser.add_argument("--model", default="rootfm", help="library model or file; {dataset} stands for the dataset")
    parser.add_argument("--datasets", nargs="*", help="all with test rows if absent")
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU minutes by the second corrected image")
    parser.add_argument("--test-images", type=int, default=6)
    parser.add_argument("--side", type=int, default=1024, help="longest side of the part of an image that is used")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("corrections.json"))
    options = parser.parse_args()
    rows = [Row(**row) for row in json.loads(options.out.read_text())] if options.out.exists() else []
    for dataset, truths in images_of(options.data, options.datasets, options.side, options.seed):
        for learner in options.learners:
            if not any((row.dataset, row.learner, row.corrected) == (dataset, learner, STAGES[-1][0]) for row in rows):
                rows = [row for row in rows if (row.dataset, row.learner) != (dataset, learner)]
                for row in course(dataset, learner, truths, options):
                    rows.append(row)
                    sys.stdout.write(f"{row}\n")
                    sys.stdout.flush()
                    write_text(options.out, json.dumps([asdict(row) for row in rows], indent=1))
                    write_text(options.out.with_suffix(".md"), table(rows))


def course(dataset: str, learner: str, truths: dict[str, list[Truth]], options: argparse.Namespace) -> Iterator[Row]:
    """One learner on one dataset, from no correction to the last."""
    rng = np.random.default_rng(options.seed)
    tests = truths["test"][: options.test_images]
    with tempfile.TemporaryDirectory() as folder:
        most = STAGES[-1][0]
        project = Project(Path(folder), truths["train"][:most], truths["train"][most:])
        training = LEARNERS[learner](project, options.model.format(dataset=dataset))
        spent = 0.0
        for corrected, share in STAGES:
            while project.corrected < corrected:
                truth = project.next()
                mask = training.predict(truth.image)
                project.show(mask)
                project.save(*strokes_on(mask, truth.root, rng))
            budget = 60 * options.minutes * share
            while spent < budget and project.annotated:
                started = time.process_time()
                if not training.step():
                    break
                spent += time.process_time() - started
            counts = [Confusion.of(training.predict(truth.image), truth.root) for truth in tests]
            mean = float(np.mean([one.dice for one in counts]))
            yield Row(dataset, learner, corrected, round(spent / 60, 2), round(pooled(counts).dice, 4), round(mean, 4))


class FineTuning:
    """The trainer's own fine-tuning, on a project as the window makes it."""

    def __init__(self, project: Project, model: str) -> None:
        from rootpainter_rootfm.model.checkpoint import write_pth
        from rootpainter_rootfm.model.library import load_model
        from rootpainter_rootfm.trainer.fine_tuning import FineTuning as Training
        from rootpainter_rootfm.trainer.logs import Journal
        from rootpainter_rootfm.trainer.models import Models

        network, _ = load_model(model)
        write_pth(network.state_dict(), project.models / "000001_1.pth")
        self._project, self._models = project, Models(project.sync)
        self._start = lambda: Training(project.request, self._models, Journal(project.root)).steps()
        self._steps, self._started_with = iter(()), 0

    def step(self) -> bool:
        """Trains for a moment; False when nothing becomes better any more. New corrections start it again."""
        for _ in self._steps:
            return True
        if self._started_with == self._project.corrected:
            return False
        self._steps, self._started_with = self._start(), self._project.corrected
        return True

    def predict(self, image: np.ndarray) -> np.ndarray:
        """H×W bool, by the newest model of the project."""
        from rootpainter_rootfm.segment.settings import SegmentSettings
        from rootpainter_rootfm.trainer.models import newest

        segmenter = self._models.load([newest(self._project.models)], SegmentSettings())
        return segmenter.segment(image).mask


class UNet:
    """RootPainter's own network, trained as its trainer does on a CPU."""

    def __init__(self, project: Project, model: str) -> None:
        import root_painter_trainer

        # Its modules import each other by bare names.
        sys.path.insert(0, str(Path(root_painter_trainer.__file__).parent))
        import torch
        from datasets import TrainDataset
        from unet import UNetGNRes

        torch.manual_seed(0)
        self._project = project
        self._network = UNetGNRes()
        self._optimizer = torch.optim.SGD(self._network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
        self._data = TrainDataset(str(project.train), str(project.images), 572, 500)

    def step(self) -> bool:
        """One tile; its trainer waits until an annotation was saved for training and one for validation."""
        from loss import combined_loss

        if not any(self._project.train.iterdir()) or not any(self._project.val.iterdir()):
            return False
        photo, root, defined = (part[None] for part in self._data[0])
        self._network.train()
        self._optimizer.zero_grad()
        combined_loss(self._network(photo) * defined[:, None], root).backward()
        self._optimizer.step()
        return True

    def predict(self, image: np.ndarray) -> np.ndarray:
        """H×W bool, without its mirror image averaged in, which would double the time."""
        import im_utils
        import torch
        from model_utils import unet_segment

        padded, around = im_utils.pad_to_min(image, 572, 572)
        with torch.no_grad():
            mask = unet_segment(self._network, padded, 1, 572, 500)
        return im_utils.crop_from_pad_settings(mask, around) > 0


LEARNERS = {"fine-tuning": FineTuning, "U-Net": UNet}


def table(rows: list[Row]) -> str:
    """The rows as Markdown, one line for each dataset and learner."""
    counts = [count for count, _ in STAGES]
    lines = ["| dataset | learner | " + " | ".join(f"{count} corrected" for count in counts) + " |"]
    lines.append("|---|---|" + "---|" * len(counts))
    for dataset, learner in dict.fromkeys((row.dataset, row.learner) for row in rows):
        found = {row.corrected: row for row in rows if (row.dataset, row.learner) == (dataset, learner)}
        cells = [f"{found[n].dice:.3f} ({found[n].cpu_minutes:.1f} min)" if n in found else "" for n in counts]
        lines.append(f"| {dataset} | {learner} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
