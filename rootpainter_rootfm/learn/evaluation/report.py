"""Tables of what was measured, as Markdown for people and JSON for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import file_name, replacing, stamp, write_text
from ..data import Dataset
from ..metrics import inverted, pooled
from ..names import may_be_one, named_items
from . import sheets
from .calibration import ProbabilityCounts
from .evaluate import Row, Summary, by_dataset, measured_files, probabilities

EVALUATION = "evaluation"
IMAGES = "images.csv"
SHEETS = "sheets"

EXPLAINED = (
    "Dice is 2TP / (2TP + FP + FN): over all known pixels of the dataset together (pooled), and as the mean over "
    "images, to which a root-free image with an empty mask adds 1. Centre lines are the skeletons of mask and truth; "
    "precision and recall are the shares of them that lie within 3 pixels of the other. For the calibration error all "
    "known pixels are sorted into 100 bins by their probability; it is the mean distance, over pixels, of a bin's mean "
    "probability from the share of root in it."
)


def check_report(folder: Path, datasets: Sequence[Dataset], splits: str) -> None:
    """Raises DataError where `folder` holds a report that `write_evaluation` would replace by one of other images.

    Args:
        folder: of the evaluation.
        datasets: with the items that will be measured.
        splits: their names, as the facts of the report have them.
    """
    try:
        record = json.loads((folder / f"{EVALUATION}.json").read_text(encoding="utf-8"))
        missing, reported = sorted(set(record["datasets"]) - {one.name for one in datasets}), str(record["splits"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    lost = missing or _lost_images(folder, datasets)
    if lost or set(reported.split(", ")) != set(splits.split(", ")):
        raise DataError(
            f"{folder} holds a report on other images ({', '.join(lost or record['datasets'])}; {reported}), which "
            "would be lost; choose another folder with --out."
        )


def _lost_images(folder: Path, datasets: Sequence[Dataset]) -> list[str]:
    """The first image that the report in a folder has and the datasets do not, with its dataset; none where all are."""
    try:
        with open(folder / IMAGES, newline="", encoding="utf-8") as file:
            rows = [(row["dataset"], row["image"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError):
        return []
    files = measured_files(folder)
    for dataset in datasets:
        images = {image: files.get((name, image), []) for name, image in rows if name == dataset.name}
        lost = _lost(images, dataset)
        if lost:
            return [f"{lost[0]} of {dataset.name}"]
    return []


def _lost(images: Mapping[str, list[list[int]]], dataset: Dataset) -> list[str]:
    """Those of the reported images, by name with size and time of their files, that a dataset does not have now."""
    there = {stamp(path) for item in dataset.items for path in item.files}
    same = {image for image, files in images.items() if any((time, size) in there for size, time in files)}
    if not same and any(images.values()):
        return list(images)  # Names alone say nothing: in every folder there may be a 001.jpg.
    names = [name for name, _ in named_items(dataset)]
    return [image for image in images if image not in same and not any(may_be_one(image, name) for name in names)]


def write_evaluation(
    folder: Path,
    rows: Sequence[Row],
    facts: Mapping[str, Any],
    seen: Mapping[str, str],
    baselines: Mapping[str, Mapping[str, Summary]],
) -> str:
    """Writes `evaluation.json`, `evaluation.md`, `images.csv` and a sheet of pictures for every dataset.

    Args:
        folder: of the evaluation.
        rows: what was measured on every image.
        facts: about the method and how it was run, by their names; they stand above the table.
        seen: for every dataset by name, whether the model learnt from it, in words.
        baselines: for every classical baseline by name, its summaries by dataset.

    Returns:
        The Markdown.
    """
    groups = by_dataset(rows)
    summaries = {name: Summary.of(found) for name, found in groups.items()}
    counts = probabilities(rows)
    for name, found in groups.items():
        title = f"{name}: {len(found)} images, pooled Dice {number(summaries[name].dice)}"
        save_sheet(folder, title, found)
    record = {
        **facts,
        "datasets": {
            name: {
                "seen_in_training": seen.get(name),
                **asdict(summary),
                "reliability": counts[name].reliability(),
                "baselines": {baseline: asdict(found[name]) for baseline, found in baselines.items()},
            }
            for name, summary in summaries.items()
        },
        "reliability": pooled(counts.values(), ProbabilityCounts.none()).reliability(),
    }
    write_text(folder / f"{EVALUATION}.json", json.dumps(record, indent=1) + "\n")
    _write_images(folder / IMAGES, rows)
    lines = [f"- {name}: {_said(value)}" for name, value in facts.items()]
    table = _evaluation_table(summaries, seen, baselines)
    pictures = [f"- [{name}]({SHEETS}/{file_name(name)}.jpg)" for name in summaries]
    said = [line for sentence in warnings(rows) for line in (sentence, "")]
    body = [*lines, "", *table, "", *said, EXPLAINED, "", "Best and worst:", *pictures, ""]
    text = "\n".join(["# Evaluation", "", *body])
    write_text(folder / f"{EVALUATION}.md", text)
    return text


def warnings(rows: Sequence[Row]) -> list[str]:
    """What may be wrong with the masks that were measured on, in sentences."""
    whole = by_dataset(row for row in rows if row.lines is not None)  # annotations show what matters
    counts = {name: pooled(row.counts for row in found) for name, found in whole.items()}
    root = {name: count.tp + count.fn for name, count in counts.items()}
    return inverted(root, {name: count.defined for name, count in counts.items()})


def save_sheet(folder: Path, title: str, rows: Sequence[Row]) -> Path:
    """Draws the best and the worst images of one dataset from the pictures in `folder`; returns the sheet's path."""
    path = folder / SHEETS / f"{file_name(rows[0].dataset)}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        sheets.sheet(title, rows, folder).save(beside, quality=88, subsampling=0)
    return path


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; the first column is text, the others are numbers."""
    rule = "|".join(["---", *["---:"] * (len(head) - 1)])
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in body)]


def number(value: float | None) -> str:
    """A share with three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there, or None."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


_COLUMNS = {
    "Dice, pooled": "dice",
    "Dice, mean of images": "mean_dice",
    "precision": "precision",
    "recall": "recall",
    "centre-line precision": "line_precision",
    "centre-line recall": "line_recall",
    "calibration error": "calibration_error",
}


def _evaluation_table(
    summaries: Mapping[str, Summary], seen: Mapping[str, str], baselines: Mapping[str, Mapping[str, Summary]]
) -> list[str]:
    head = ["dataset", "images", *_COLUMNS, *(f"{name}, pooled Dice" for name in baselines), "seen in training"]
    body = []
    for name, summary in summaries.items():
        values = [getattr(summary, field) for field in _COLUMNS.values()]
        classical = [found[name].dice for found in baselines.values()]
        body.append([name, str(summary.images), *map(number, [*values, *classical]), seen.get(name, "unknown")])
    if len(summaries) > 1:
        columns = [[getattr(one, field) for one in summaries.values()] for field in _COLUMNS.values()]
        columns += [[found[name].dice for name in summaries] for found in baselines.values()]
        images = sum(summary.images for summary in summaries.values())
        body.append(["mean of datasets", str(images), *(number(mean(column)) for column in columns), ""])
    return table(head, body)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_images(path: Path, rows: Sequence[Row]) -> None:
    head = ["dataset", "image", "split", "dice", "precision", "recall", "line_precision", "line_recall", "root_share"]
    with replacing(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*head, "marked_share", "seconds"])
        for row in rows:
            counts, found = row.counts, Summary.of([row])
            shares = [part / max(1, counts.defined) for part in (counts.tp + counts.fn, counts.tp + counts.fp)]
            values = [found.dice, found.precision, found.recall, found.line_precision, found.line_recall]
            values = ["" if value is None else f"{value:.4f}" for value in [*values, *shares]]
            writer.writerow([row.dataset, row.image, row.split, *values, f"{row.seconds:.2f}"])
