"""The protocol's tables: what every fold gave, and how far that is from the marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import write_text
from .baselines import BASELINES, FIRST, LONG_SIDE
from .protocol import FEW, FINE_TUNED, STAGES, ZERO_SHOT, Results, few_shot
from .report import EXPLAINED, mean, number, table

REPORT = "protocol"

_MOST_PATCHES, _FEWEST_PATCHES = f"{max(FEW)}_patches_share", f"{min(FEW)}_patches_lowest"


def write_protocol(
    folder: Path, results: Results, facts: Mapping[str, Any], first_images: Mapping[str, Mapping[str, float]]
) -> str:
    """Writes `protocol.json` and `protocol.md`, also while folds are still to come.

    Args:
        folder: of the protocol.
        results: as `protocol.run` gives them.
        facts: about the run, by their names.
        first_images: as `baselines.first_images` gives them.

    Returns:
        The Markdown.
    """
    summary = marks(results)
    record = {**facts, "marks": summary, "folds": results, "first_images": first_images}
    write_text(folder / f"{REPORT}.json", json.dumps(record, indent=1) + "\n")
    lines = ["# Leave one dataset out", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", *fold_table(results), "", *_unlike(results), *said(summary), "", *_details(results), "", EXPLAINED]
    if first_images:
        lines += ["", *_first_images_table(first_images)]
    lines += ["", *_runs(results), ""]
    write_text(folder / f"{REPORT}.md", "\n".join(lines))
    return "\n".join(lines)


def fold_table(results: Results) -> list[str]:
    """Pooled Dice on the test rows of each dataset, by a model that never saw it and by those continued on it."""
    head = ["held out", "zero-shot", "fine-tuned", "share", *(few_shot(count) for count in FEW), *BASELINES]
    body = []
    columns: list[list[float | None]] = []
    for name, stages in results.items():
        dice = {stage: _dice(stages, stage) for stage in (*STAGES, *BASELINES)}
        values = [dice[ZERO_SHOT], dice[FINE_TUNED], _share(stages, ZERO_SHOT)]
        values += [dice[stage] for stage in (*map(few_shot, FEW), *BASELINES)]
        columns.append(values)
        body.append([name, *_numbers(values)])
    body.append(["mean", *_numbers([mean(column) for column in zip(*columns, strict=True)])])
    return table(head, body)


def marks(results: Results) -> dict[str, Any]:
    """The figures that the protocol is judged by, over the folds that are done; None where none is."""
    shares = {name: _share(stages, ZERO_SHOT) for name, stages in results.items()}
    known = [share for share in shares.values() if share is not None]
    few = {count: {name: _dice(stages, few_shot(count)) for name, stages in results.items()} for count in FEW}
    recovered = mean([_share(stages, few_shot(max(FEW))) for stages in results.values()])
    fewest = [value for value in few[min(FEW)].values() if value is not None]
    return {
        "folds": len(known),
        "zero_shot": mean([_dice(stages, ZERO_SHOT) for stages in results.values()]),
        "fine_tuned": mean([_dice(stages, FINE_TUNED) for stages in results.values()]),
        "share": mean(list(shares.values())),
        "folds_above_90_percent": sum(share > 0.9 for share in known),
        _MOST_PATCHES: recovered,
        _FEWEST_PATCHES: min(fewest, default=None),
        "below_a_baseline": sorted(name for name, stages in results.items() if _beaten(stages)),
    }


def said(summary: Mapping[str, Any]) -> list[str]:
    """The figures of `marks` in words, each beside the mark that it is held against."""
    folds, most, fewest = summary["folds"], few_shot(max(FEW)), few_shot(min(FEW))
    return [
        f"- Zero-shot, mean pooled Dice: {number(summary['zero_shot'])} (mark: at least 0.60).",
        f"- Share of the fine-tuned Dice, mean over folds: {number(summary['share'])} (mark: at least 0.90).",
        f"- Folds above 90 % of the fine-tuned Dice: {summary['folds_above_90_percent']} of {folds} (mark: 5 of 6).",
        f"- {most}, share of the fine-tuned Dice: {number(summary[_MOST_PATCHES])} (mark: at least 0.95).",
        f"- {fewest}, lowest Dice: {number(summary[_FEWEST_PATCHES])} (mark: never below 0.47).",
        f"- Zero-shot not above both baselines: {', '.join(summary['below_a_baseline']) or 'none'} (mark: none).",
    ]


def _dice(stages: Mapping[str, Any], stage: str) -> float | None:
    return stages[stage]["test"]["dice"] if stage in stages else None


def _share(stages: Mapping[str, Any], stage: str) -> float | None:
    """A stage's Dice as a share of the fine-tuned one."""
    part, whole = _dice(stages, stage), _dice(stages, FINE_TUNED)
    return part / whole if part is not None and whole else None


def _beaten(stages: Mapping[str, Any]) -> bool:
    zero_shot = _dice(stages, ZERO_SHOT)
    classical = [_dice(stages, name) for name in BASELINES]
    return zero_shot is not None and any(value is not None and value >= zero_shot for value in classical)


def _numbers(values: list[float | None]) -> list[str]:
    """Dice values, of which the third is a share."""
    return [number(v) if i != 2 else ("–" if v is None else f"{v:.0%}") for i, v in enumerate(values)]


def _details(results: Results) -> list[str]:
    """Everything else that was measured."""
    head = ["held out", "stage", "images", "Dice, mean of images", "precision", "recall"]
    head += ["centre-line precision", "centre-line recall", "calibration error", "threshold", "Dice on validation rows"]
    body = []
    for name, stages in results.items():
        for stage, result in stages.items():
            test = result["test"]
            fields = ("mean_dice", "precision", "recall", "line_precision", "line_recall", "calibration_error")
            values = [test[one] for one in fields] + [result.get("threshold"), result.get("val_dice")]
            body.append([name, stage, str(test["images"]), *map(number, values)])
    return table(head, body)


def _first_images_table(first_images: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(next(iter(first_images.values())))
    where = f"on the first {FIRST} images of each set, at most {LONG_SIDE} pixels a side"
    title = f"Classical baselines {where}, mean of images:"
    return [title, "", *table(["", *names], [[name, *map(number, row.values())] for name, row in first_images.items()])]


def how_made(result: Mapping[str, Any]) -> str:
    """The steps of a training under each plan that it had, with what differs between the plans.

    Such as `1500 with variety 1, then 1000 with variety 0.5`; of an old result, the steps in all.
    """
    phases = result.get("history") or [{"step": 0, "plan": result["plan"]}]
    plans = [phase["plan"] for phase in phases]
    differing = [name for name in plans[0] if name != "steps" and any(plan[name] != plans[0][name] for plan in plans)]
    ends = [*(phase["step"] for phase in phases[1:]), result["plan"]["steps"]]
    words = []
    for phase, end in zip(phases, ends, strict=True):
        options = ", ".join(f"{name} {_value(phase['plan'][name])}" for name in differing)
        words.append(f"{end - phase['step']}{f' with {options}' if options else ''}")
    return ", then ".join(words)


def _value(value: float | Sequence[float]) -> str:
    return " to ".join(map(_value, value)) if isinstance(value, Sequence) else f"{value:g}"


def _unlike(results: Results) -> list[str]:
    """A warning where the first stages of the folds are known to have been made in different ways."""
    folds: dict[str, list[str]] = {}
    for name, stages in results.items():
        if stages.get(ZERO_SHOT, {}).get("history"):
            folds.setdefault(how_made(stages[ZERO_SHOT]), []).append(name)
    if len(folds) < 2:
        return []
    steps = "; ".join(f"{', '.join(names)} {how}" for how, names in folds.items())
    return [f"The zero-shot trainings were not made alike, so their means are of several recipes. Steps: {steps}.", ""]


def _runs(results: Results) -> list[str]:
    """With what every stage was made."""
    head = ["held out", "stage", "steps", "best at", "seed", "commit", "hardware", "finished"]
    body = []
    for name, stages in results.items():
        for stage, result in stages.items():
            if "plan" not in result:
                continue
            plan, made, best = result["plan"], result["made"], result["best"] or {}
            words = [
                how_made(result),
                best.get("step", "–"),
                plan["seed"],
                made["commit"],
                made["hardware"],
                made["time"],
            ]
            body.append([name, stage, *map(str, words)])
    return table(head, body) if body else []
