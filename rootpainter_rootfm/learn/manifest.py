"""The table of images and masks that a folder of datasets has: read, and refused where it cannot be what is meant."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import DataError

MANIFEST = "manifest.csv"
_COLUMNS = ("dataset", "stem", "image", "mask", "split_group", "split")
_NEVER_EMPTY = ("dataset", "image", "mask")

Row = Mapping[str, str]
"""What stands in each column, without blanks around it; the split in small letters."""


def read_rows(folder: Path) -> list[Row]:
    """The rows of the manifest in `folder`.

    Raises:
        DataError: it is no table in UTF-8, a column or a cell is missing, an image stands in two rows, or a group is
            divided between splits.
    """
    path = folder / MANIFEST
    rows = [_row(path, number, cells) for number, cells in enumerate(_table(path), 1)]
    if not rows:
        raise DataError(
            f"{path} needs the columns {', '.join(sorted(_COLUMNS))}, divided by commas, and at least one row."
        )
    _check_images(path, rows)
    _check_groups(path, rows)
    return rows


def _table(path: Path) -> list[dict[str, str | None]]:
    """The rows as they stand there; none where the columns are others."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets mark UTF-8 by three bytes in front
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            return list(reader) if set(reader.fieldnames) >= set(_COLUMNS) else []
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8 ({error}): save it as CSV UTF-8.") from error


def _row(path: Path, number: int, cells: Mapping[str, str | None]) -> Row:
    if any(cells[column] is None for column in _COLUMNS):
        raise DataError(f"{path}: row {number} below the head has too few columns.")
    row = {column: cells[column].strip() for column in _COLUMNS}
    empty = [column for column in _NEVER_EMPTY if not row[column]]
    if empty:
        raise DataError(f"{path}: row {number} below the head has no {' and no '.join(empty)}.")
    return row | {"split": row["split"].casefold()}


def _check_images(path: Path, rows: Sequence[Row]) -> None:
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        place = first.setdefault(os.path.normpath(path.parent / row["image"]), number)
        if place != number:
            raise DataError(
                f"{path}: {row['image']} stands in row {place} below the head and again in row {number}; leave one."
            )


def _check_groups(path: Path, rows: Sequence[Row]) -> None:
    split_of: dict[tuple[str, str], str] = {}
    for row in rows:
        group = row["split_group"] or row["image"]  # without a group an image is one of its own
        if split_of.setdefault((row["dataset"], group), row["split"]) != row["split"]:
            raise DataError(f"{path}: group {group} of {row['dataset']} is divided between splits.")
