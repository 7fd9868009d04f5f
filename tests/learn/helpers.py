"""Small photographs with roots that are known, as datasets on disk."""

import csv

import numpy as np
from PIL import Image, ImageDraw

from rootpainter_rootfm.learn.data import Dataset, read_datasets

SPLITS = ("train", "val", "test")


def photograph(seed, height=80, width=96, colour=(230, 220, 200), ground=70):
    """H×W×3 uint8 with two straight roots, and their mask, H×W bool."""
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(ground - 20, ground + 20, (height, width, 3), dtype=np.uint8))
    mask = Image.new("1", (width, height))
    for _ in range(2):
        ends = [tuple(rng.integers(0, side, 2)) for side in (min(height, width), min(height, width))]
        ends = [(int(x), int(y)) for x, y in ends]
        for layer, ink in ((picture, colour), (mask, 1)):
            ImageDraw.Draw(layer).line([ends[0], (width - 1, ends[1][1])], fill=ink, width=5)
    return np.asarray(picture), np.asarray(mask)


def write_data(folder, names=("sand", "clay"), per_split=2, **photo):
    """A folder with a manifest; every dataset has `per_split` images in train, val and test."""
    rows = []
    for number, name in enumerate(names):
        for kind in ("images", "masks"):
            (folder / name / kind).mkdir(parents=True)
        (folder / name / "SOURCE.md").write_text(f"# {name}\n\n- Licence: licence of {name}\n", encoding="utf-8")
        for index in range(3 * per_split):
            image, mask = photograph(100 * number + index, **photo)
            stem = f"{name}{index}"
            Image.fromarray(image).save(folder / name / "images" / f"{stem}.png")
            Image.fromarray(np.uint8(mask) * np.uint8(255)).save(folder / name / "masks" / f"{stem}.png")
            row = {"dataset": name, "stem": stem, "split_group": stem, "split": SPLITS[index % 3]}
            rows.append(row | {"image": f"{name}/images/{stem}.png", "mask": f"{name}/masks/{stem}.png"})
    write_manifest(folder, rows)
    return rows


def write_manifest(folder, rows):
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def datasets(folder, **data) -> list[Dataset]:
    write_data(folder, **data)
    return read_datasets(folder)
