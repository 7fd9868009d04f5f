"""The verb `rootfm models`: what models there are, and taking in, checking and handing out model files."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model.card import ModelCard
    from ..model.library import Library
    from ..progress import Progress


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm models` and its options."""
    parser = verbs.add_parser("models", help="list, add, check and export models")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "list", _list, "the models there are")
    _action(actions, "info", _info, "all that is known of a model").add_argument("name", metavar="NAME")
    adding = _action(actions, "add", _add, "take a .pth or .safetensors file into the library")
    adding.add_argument("file", metavar="FILE", type=Path)
    adding.add_argument("--name", help="what to call it (from the file's name)")
    _action(actions, "remove", _remove, "delete an added or downloaded model").add_argument("name", metavar="NAME")
    verifying = _action(actions, "verify", _verify, "compare model files with their checksums")
    verifying.add_argument("name", metavar="NAME", nargs="?", help="all that are on this computer when left out")
    exporting = _action(actions, "export", _export, "write a .pth that RootPainter's own trainer reads")
    exporting.add_argument("name", metavar="NAME")
    exporting.add_argument("file", metavar="FILE.pth", type=Path)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Does what the action names; returns 0, or 1 when `verify` found a damaged model."""
    from ..model.library import Library

    return options.do(options, Library()) or 0


def _action(actions: argparse._SubParsersAction, name: str, do: object, text: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(do=do)
    return parser


def _list(options: argparse.Namespace, library: Library) -> None:
    rows = [("NAME", "SIZE", "WHERE", "LICENCE", "TITLE")]
    for card in library.cards():
        rows.append((card.name, _size(card), library.origin(card), card.licence, card.title))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    for sentence in library.damaged():
        print(f"rootfm: {sentence}", file=sys.stderr)


def _info(options: argparse.Namespace, library: Library) -> None:
    card = library.get(options.name)
    data = "; ".join(f"{name} ({licence})" for name, licence in card.training_data)
    lines = {
        "Title": card.title,
        "Trained": "yes" if card.trained else "no: its masks mean nothing",
        "Weak at": card.weaknesses or "not stated",
        "Training data": data or ("not stated" if card.trained else "none"),
        "Licence": card.licence,
        "Name": card.name,
        "Where": library.origin(card),
        "Size": _size(card),
        "Tiles": ", ".join(f"{size}×{size}" for size in card.tile_sizes),
        "Padding": card.padding,
        "Threshold": f"{card.threshold:g}",
        "Source": card.url or "",
        "SHA-256": card.sha256,
        "Notes": card.notes,  # last, for they may be longer than all the rest
    }
    for label, text in lines.items():
        for line in text.splitlines():  # each by itself: notes hold lists and tables
            print(textwrap.fill(line, 100, initial_indent=f"{label:<15}", subsequent_indent=" " * 15))
            label = ""


def _add(options: argparse.Namespace, library: Library) -> None:
    card = library.add(options.file, options.name)
    print(f"{options.file} is in the library as {card.name}. Use it with: rootfm segment IN OUT -m {card.name}")


def _remove(options: argparse.Namespace, library: Library) -> None:
    name = library.get(options.name).name
    library.remove(name)
    print(f"Removed {name}.")


def _verify(options: argparse.Namespace, library: Library) -> int:
    from ..errors import RootFMError

    here = [card for card in library.cards() if library.origin(card) != "to download"]
    damaged = library.damaged() if options.name is None else []
    for name in [options.name] if options.name else [card.name for card in here]:
        try:
            library.verify(name)
            print(f"{name}: complete and unchanged")
        except RootFMError as error:
            damaged.append(str(error))
    for sentence in damaged:
        print(f"rootfm: {sentence}", file=sys.stderr)
    return 1 if damaged else 0


def _export(options: argparse.Namespace, library: Library) -> None:
    with download_bar() as progress:
        library.export(options.name, options.file, progress)
    print(f"Wrote {options.file}. Choose it in RootPainter under Network, Segment folder.")
    if not library.get(options.name).trained:
        print("Note: this model has not been trained, its masks mean nothing.", file=sys.stderr)


@contextmanager
def download_bar() -> Iterator[Progress]:
    """A `Progress` in bytes that shows a bar on standard error as soon as there is something to download."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, delay=1e-9, leave=False) as bar:

        def show(done: int, total: int, current: str) -> None:
            bar.total = total
            bar.set_description(current, refresh=False)
            bar.update(done - bar.n)

        yield show


def _size(card: ModelCard) -> str:
    return f"{card.size_bytes / 1e6:.1f} MB"
