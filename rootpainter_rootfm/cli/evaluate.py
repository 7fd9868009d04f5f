"""The verb `rootfm evaluate`: how well a model does on images whose roots are known."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .segment import add_settings_options, load_segmenter
from .training import progress_bar, stopped_by_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..learn.data import Dataset
    from ..learn.evaluation.evaluate import Summary
    from ..model.card import ModelCard
    from ..progress import CancelToken, Progress


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm evaluate` and its options."""
    parser = verbs.add_parser(
        "evaluate",
        help="measure a model on images with known masks",
        description="Measures a model on whole images: Dice, centre lines and calibration of every dataset, a row for "
        "every image, and sheets of the best and worst ones. Run again, it goes on where it stopped.",
    )
    parser.add_argument("model", metavar="MODEL", help="name of a model, or a .pth or .safetensors file")
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="folder with a manifest.csv, a RootPainter project, or a folder with images and masks",
    )
    parser.add_argument("-o", "--out", type=Path, help="folder for what is found (evaluation_MODEL)")
    parser.add_argument(
        "--split", nargs="+", type=str.casefold, default=["test"], metavar="NAME", help="rows to measure on (test)"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="DATASET", help="take these datasets alone")
    parser.add_argument("--without", nargs="+", default=[], metavar="DATASET", help="leave these datasets out")
    parser.add_argument("--baselines", action="store_true", help="measure Otsu and ridge filtering on the same images")
    add_settings_options(parser.add_argument_group("how images are segmented"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measures, writes the report and prints its table; returns 0."""
    from ..learn.data import read_datasets
    from ..learn.evaluation.evaluate import Method, evaluate
    from ..learn.evaluation.report import check_report, warnings, write_evaluation
    from ..learn.training.record import describe
    from ..model.library import WEIGHTS_SUFFIXES

    model, options.model = options.model, [options.model]
    name = Path(model)  # or a name, of which a dot may be part
    out = options.out or Path(f"evaluation_{name.stem if name.suffix in (*WEIGHTS_SUFFIXES, '.pt') else name.name}")
    found = read_datasets(options.data, options.only, options.without, options.split)
    datasets = [dataset.split(*options.split) for dataset in found]
    splits = ", ".join(options.split)
    _check_rows(found, options.split)
    check_report(out, datasets, splits)
    segmenter = load_segmenter(options)
    with progress_bar("image") as progress, stopped_by_ctrl_c() as cancel:
        rows = evaluate(Method.of(segmenter, cancel), datasets, out, progress, cancel)
        baselines = _baselines(datasets, out, progress, cancel) if options.baselines else {}
    facts = {
        "model": ", ".join(f"{model['name']} ({model['sha256'][:8]})" for model in segmenter.models),
        "threshold": segmenter.threshold,
        "settings": segmenter.signature,
        "splits": splits,
        **describe(segmenter.device),
    }
    learnt, all_of_it = _learnt(Path(model), segmenter.cards[0])
    seen = {dataset.name: _seen(dataset.name, learnt, all_of_it, options.split) for dataset in datasets}
    print(write_evaluation(out, rows, facts, seen, baselines))
    for sentence in warnings(rows):
        print(sentence, file=sys.stderr)
    print(f"All of it, with pictures: {out}", file=sys.stderr)
    return 0


def _check_rows(datasets: Sequence[Dataset], splits: Sequence[str]) -> None:
    """A dataset that was asked for by its name has to have rows to measure on."""
    from ..errors import DataError
    from ..learn.data import splits_of

    for dataset in datasets:
        if not dataset.split(*splits).items:
            raise DataError(
                f"{dataset.name} has no row of {', '.join(splits)}: choose another --split (there are "
                f"{splits_of([dataset])}), or leave it out."
            )


def _baselines(
    datasets: Sequence[Dataset], out: Path, progress: Progress, cancel: CancelToken
) -> dict[str, dict[str, Summary]]:
    from ..files import file_name
    from ..learn.evaluation import baselines
    from ..learn.evaluation.evaluate import Summary, by_dataset, evaluate

    found = {}
    for name in baselines.BASELINES:
        folder = out / "baselines" / file_name(name)
        rows = evaluate(baselines.method(name), datasets, folder, progress, cancel, pictures=False)
        found[name] = {dataset: Summary.of(rows) for dataset, rows in by_dataset(rows).items()}
    return found


def _learnt(weights: Path, card: ModelCard) -> tuple[set[str], bool]:
    """The datasets that a model learnt from, and whether these are all: by its card or its training's record."""
    from ..learn.training.record import learnt_before, read_record
    from ..learn.training.state import BEST

    named = {name for name, _ in card.training_data}
    record = read_record(weights.parent) if weights.name == BEST and not named else {}
    before = learnt_before(record)
    learnt = {*named, *before, *record.get("datasets", [])}
    # A model may have begun with one of which nobody says what it learnt from.
    return learnt, bool(learnt) and (bool(before) or "model" not in record)


def _seen(dataset: str, learnt: set[str], all_of_it: bool, splits: Sequence[str]) -> str:
    if dataset in learnt:
        return "other images of it" if set(splits) == {"test"} else "yes"
    return "no" if all_of_it else "unknown"
