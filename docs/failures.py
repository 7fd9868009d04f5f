"""Draws docs/images/failures.png: where a model is worst on every dataset.

    python docs/failures.py MODEL DATA EVALUATION

EVALUATION is the folder that `rootfm evaluate MODEL DATA` wrote. Its pictures show the photographs too, which are not
ours to publish, so here only what was found, wrongly marked and missed is drawn.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rootpainter_rootfm.learn.data import Truth, load, read_datasets
from rootpainter_rootfm.learn.evaluation import sheets
from rootpainter_rootfm.segment.engine import Segmenter

TO = Path(__file__).parent / "images" / "failures.png"
CELL = (400, 440)  # width and height in pixels
COLUMNS = 3
CAPTION = 24


def main(model: str, data: Path, evaluation: Path) -> None:
    """Segments the worst image with roots of every dataset once more and draws its errors."""
    segmenter = Segmenter.load(model)
    datasets = {dataset.name: dataset for dataset in read_datasets(data)}
    worst = worst_images(evaluation)
    rows = -(-len(worst) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * CELL[0], rows * CELL[1]), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=16)
    for number, (name, (image, dice)) in enumerate(worst.items()):
        truth = load(next(item for item in datasets[name].items if item.image.as_posix().endswith(f"/{image}")))
        place = [number % COLUMNS * CELL[0], number // COLUMNS * CELL[1]]
        pen.text((place[0] + 4, place[1] + 2), f"{name}: Dice {dice:.2f}", fill="black", font=font)
        shown = errors(truth, segmenter.segment(truth.image).mask)
        shown.thumbnail((CELL[0] - 6, CELL[1] - CAPTION - 6))
        canvas.paste(shown, (place[0], place[1] + CAPTION))
    canvas.quantize(64).save(TO, optimize=True)


def worst_images(evaluation: Path) -> dict[str, tuple[str, float]]:
    """By dataset, the image with roots that has the lowest Dice, and that."""
    found = defaultdict(list)
    with open(evaluation / "images.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if float(row["root_share"]) > 0:
                found[row["dataset"]].append((float(row["dice"]), row["image"]))
    return {name: (min(images)[1], min(images)[0]) for name, images in found.items()}


def errors(truth: Truth, mask: np.ndarray) -> Image.Image:
    """Found, wrongly marked and missed roots, each in its colour, without the photograph."""
    return sheets.compared(Truth(np.zeros_like(truth.image), truth.root, truth.known), mask)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
