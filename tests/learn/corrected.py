"""Small images with annotations, as a RootPainter project has them."""

import numpy as np
from PIL import Image

from rootpainter_rootfm.learn.fine_tuning.corrections import Corrections


def draw_image(folder, stem, seed, size=(96, 128), bright=200):
    """Bright roots on dark ground, all of them annotated, with a band of soil beside."""
    rng = np.random.default_rng(seed)
    root = np.zeros(size, bool)
    for row in (20, 70):
        root[row : row + 8, 4:-4] = True
    soil = np.zeros(size, bool)
    soil[38:58, 4:-4] = True
    image = np.where(root[..., None], bright, 60) + rng.integers(-15, 15, (*size, 3))
    Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{stem}.png")
    return root, soil


def opened(project, shown=None):
    corrections = Corrections(project / "images", project / "train", project / "val", shown)
    list(corrections.refresh())
    return corrections


def finish(steps):
    """Runs a generator to its end; returns its value and how often it yielded."""
    yields = 0
    while True:
        try:
            next(steps)
            yields += 1
        except StopIteration as end:
            return end.value, yields
