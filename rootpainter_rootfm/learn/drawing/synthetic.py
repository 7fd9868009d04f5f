"""Drawn roots with exact masks, over drawn soil, paper and gel or over root-free parts of real images.

Real masks show a handful of imaging systems. Drawn ones add what those lack: roots darker than their background,
thinner, thicker or fainter than theirs, on every colour of ground, among scratches, edges, labels and droplets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from ..data import Patch
from . import clutter, ground

RINGS = (1.0, 0.7, 0.4)  # shares of the radius at which a root's brightness changes
MATS = 0.3  # share of the patches of fine roots that are covered with them
THICKEST_OF_MAT = 4.0  # pixels of radius
FINE = 2  # roots are drawn at this multiple of the patch's size and then reduced, which smooths their edges


@dataclass(frozen=True)
class Root:
    """One root as it is drawn.

    Attributes:
        line: N×2 float, x and y of the centre line in pixels.
        radius: N float, in pixels.
        order: 0 for a main root, 1 for its laterals, and so on.
    """

    line: np.ndarray
    radius: np.ndarray
    order: int


@dataclass(frozen=True)
class Habit:
    """How the roots of one image grow.

    Attributes:
        radius: of a main root at its base, in pixels.
        wander: how fast the direction changes, in radians per step of 4 pixels.
        spacing: mean distance between laterals, in pixels.
        gravity: pull of the direction towards down, 0 to 1 a step.
        orders: number of branching orders.
    """

    radius: float
    wander: float
    spacing: float
    gravity: float
    orders: int

    @classmethod
    def random(cls, rng: Generator) -> Habit:
        """Fine or thick, straight or winding, bare or bushy."""
        radius = float(np.exp(rng.uniform(np.log(0.8), np.log(14))))
        return cls(
            radius=radius,
            wander=float(rng.uniform(0.02, 0.2)),
            spacing=4 * radius + float(np.exp(rng.uniform(np.log(10), np.log(120)))),
            gravity=float(rng.choice([0.0, 0.01, 0.04])),
            orders=int(rng.integers(1, 4)),
        )


STEP = 4.0  # pixels between two points of a centre line


def grow(rng: Generator, start: np.ndarray, angle: float, length: float, radius: float, habit: Habit) -> Root:
    """A winding, tapering root from `start`; `angle` in radians from the x axis (y points down)."""
    steps = max(3, int(length / STEP))
    turns = np.convolve(rng.normal(0, habit.wander, steps + 4), np.ones(5) / 2.2, "valid")
    direction = np.empty(steps)
    for i in range(steps):
        angle += turns[i] + habit.gravity * np.sin(np.pi / 2 - angle)
        direction[i] = angle
    moves = STEP * np.stack([np.cos(direction), np.sin(direction)], 1)
    line = np.concatenate([start[None], start + np.cumsum(moves, 0)])
    along = np.linspace(0, 1, steps + 1)
    unevenness = 1 + 0.12 * np.convolve(rng.normal(size=steps + 7), np.ones(7) / 7, "valid")[: steps + 1]
    tip = np.minimum(1, (1 - along) * length / (4 * radius + 1e-6) + 0.25)  # the tip is rounded, not cut
    return Root(line, radius * (1 - rng.uniform(0.1, 0.6) * along) * unevenness * tip, 0)


def branch(rng: Generator, parent: Root, habit: Habit) -> list[Root]:
    """The laterals of a root."""
    length = STEP * len(parent.line)
    laterals = []
    for _ in range(min(60, rng.poisson(length / habit.spacing))):
        i = int(rng.integers(1, len(parent.line) - 1))
        ahead = parent.line[i + 1] - parent.line[i - 1]
        angle = np.arctan2(ahead[1], ahead[0]) + rng.choice([-1, 1]) * rng.uniform(0.5, 1.4)
        radius = max(0.5, parent.radius[i] * rng.uniform(0.3, 0.75))
        reach = rng.uniform(6, 30) * radius + rng.uniform(0, 0.25) * length
        lateral = grow(rng, parent.line[i], angle, reach, radius, habit)
        laterals.append(Root(lateral.line, lateral.radius, parent.order + 1))
    return laterals


def root_system(rng: Generator, mains: list[Root], habit: Habit) -> list[Root]:
    """Main roots with all their laterals, the finest first, so that thicker ones are drawn over them."""
    roots = generation = mains
    for _ in range(habit.orders - 1):
        generation = [lateral for root in generation for lateral in branch(rng, root, habit)]
        roots = generation + roots
    return roots


def _crossing(rng: Generator, size: int, habit: Habit) -> list[Root]:
    """Main roots that pass through a patch from anywhere to anywhere."""
    mains = []
    for _ in range(_count(rng, habit.radius)):
        inside = rng.uniform(0, size, 2)
        angle = rng.uniform(0, 2 * np.pi)
        back = rng.uniform(0.2, 1.2) * size
        start = inside - back * np.array([np.cos(angle), np.sin(angle)])
        length = back + rng.uniform(0.1, 1.2) * size
        mains.append(grow(rng, start, angle, length, habit.radius * rng.uniform(0.6, 1.2), habit))
    return mains


def _count(rng: Generator, radius: float) -> int:
    """How many main roots a patch shows: a few, or, where they are fine, sometimes a dense mat of them."""
    if radius < THICKEST_OF_MAT and rng.random() < MATS:
        return int(rng.integers(6, 30))
    return int(rng.integers(1, 5 if radius < 6 else 3))


@dataclass(frozen=True)
class Looks:
    """How the roots of one image differ from their ground.

    Attributes:
        colour: RGB 0 to 255, of a root's middle.
        edge: factor on the colour at a root's rim; below 1 is a lit cylinder, above 1 a transparent one.
        opacity: 0 to 1 by branching order: fine roots let the ground show.
        spread: how much roots of one image differ in brightness, as a share.
        grain: how much the brightness of one root varies along and across it, as a share.
        soiled: share of root length hidden under specks of the ground.
    """

    colour: np.ndarray
    edge: float
    opacity: tuple[float, float, float]
    spread: float
    grain: float
    soiled: float

    @classmethod
    def random(cls, rng: Generator, behind: np.ndarray) -> Looks:
        """Bright, dark, tinted or glassy roots that can be told from the mean colour `behind` them."""
        kind = rng.random()
        if kind < 0.4:
            colour = rng.uniform(150, 255) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.6, 1)])
        elif kind < 0.75:
            colour = rng.uniform(15, 130) * np.array([1, rng.uniform(0.7, 1), rng.uniform(0.4, 1)])
        else:
            colour = behind * rng.choice([rng.uniform(0.35, 0.8), rng.uniform(1.2, 1.9)])
        difference = float(np.abs(colour - behind).mean())
        if difference < 28:
            colour = behind + np.sign(128 - behind.mean() + 1e-3) * rng.uniform(30, 90)
        base = rng.uniform(0.55, 1)
        fade = rng.uniform(0.75, 1)
        return cls(
            colour=np.clip(colour, 0, 255),
            edge=float(rng.uniform(0.55, 1.15)),
            opacity=(base, base * fade, base * fade * fade),
            spread=float(rng.uniform(0, 0.25)),
            grain=float(rng.choice([0, rng.uniform(0, 0.25)])),
            soiled=float(rng.choice([0, 0, rng.uniform(0, 0.3)])),
        )


def _outlines(root: Root) -> list[list[float]]:
    """The polygons around a centre line at each of `RINGS` of its radius, as x, y, x, y … in drawing pixels."""
    ahead = np.gradient(root.line, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    side = np.stack([-ahead[:, 1], ahead[:, 0]], 1) * root.radius[:, None]
    return [
        (FINE * np.concatenate([root.line + ring * side, (root.line - ring * side)[::-1]])).ravel().tolist()
        for ring in RINGS
    ]


def _paint(rng: Generator, picture: np.ndarray, roots: list[Root], looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """Paints roots onto H×W×3 float 0 to 255; returns the picture and H×W float root share in [0, 1]."""
    height, width = picture.shape[:2]
    canvas = (width * FINE, height * FINE)
    mask = Image.new("L", canvas)
    # The empty canvas has the roots' own colour, so that blurred rims take no black from it.
    paint = Image.new("RGB", canvas, tuple(int(c) for c in looks.colour))
    cover = Image.new("L", canvas)
    on_mask, on_paint, on_cover = (ImageDraw.Draw(layer) for layer in (mask, paint, cover))
    for root in roots:
        shade = looks.colour * (1 + rng.normal(0, looks.spread))
        opacity = round(255 * looks.opacity[min(root.order, 2)])
        outlines = _outlines(root)
        on_mask.polygon(outlines[0], fill=255)
        on_cover.polygon(outlines[0], fill=opacity)
        for ring, outline in zip(RINGS, outlines, strict=True):
            light = 1 + (looks.edge - 1) * ring**2
            on_paint.polygon(outline, fill=tuple(int(c) for c in np.clip(shade * light, 0, 255)))
    blur = ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8))
    mask, cover, paint = (layer.reduce(FINE) for layer in (mask, cover, paint))
    alpha = np.asarray(cover.filter(blur), np.float32)[..., None] / 255
    alpha = alpha * _soil_cover(rng, height, width, looks.soiled)[..., None]
    colours = np.asarray(paint.filter(blur), np.float32) * _grain(rng, height, width, looks.grain)[..., None]
    share = np.asarray(mask, np.float32) / 255
    return picture * (1 - alpha) + colours * alpha, share


def _grain(rng: Generator, height: int, width: int, share: float) -> np.ndarray:
    """H×W float, about 1: the wrinkles, stains and dirt of the roots' skin."""
    if share == 0:
        return np.ones((height, width), np.float32)
    rough = ground.noise(rng, height, width, (2, 5, 14))
    return (1 + share * (rough - rough.mean()) / (rough.std() + 1e-6)).astype(np.float32)


def _soil_cover(rng: Generator, height: int, width: int, hidden: float) -> np.ndarray:
    """H×W float 0 to 1: how much of a root is seen through the soil in front of it."""
    if hidden == 0:
        return np.ones((height, width), np.float32)
    specks = ground.noise(rng, height, width, (4, 9))
    return np.clip((specks - np.quantile(specks, hidden)) * 4 + 0.8, 0.25, 1).astype(np.float32)


def _hairs(rng: Generator, picture: np.ndarray, roots: list[Root], looks: Looks) -> np.ndarray:
    """A fringe of root hairs, which are not counted as root."""
    height, width = picture.shape[:2]
    layer = Image.new("L", (width, height))
    draw = ImageDraw.Draw(layer)
    for root in roots[-3:]:
        for i in rng.integers(0, len(root.line), 4 * len(root.line)):
            angle = rng.uniform(0, 2 * np.pi)
            tip = root.line[i] + np.array([np.cos(angle), np.sin(angle)]) * root.radius[i] * rng.uniform(1.5, 4)
            draw.line([tuple(root.line[i]), tuple(tip)], fill=int(rng.integers(20, 90)))
    alpha = np.asarray(layer, np.float32)[..., None] / 255
    return picture * (1 - alpha) + looks.colour * alpha


def draw(rng: Generator, size: int, behind: np.ndarray | None = None) -> Patch:
    """A patch with drawn roots; one in eight has none, only things that might be taken for roots.

    Args:
        rng: source of chance.
        size: side S of the patch in pixels.
        behind: S×S×3 uint8, a root-free part of a real image; None draws the ground too.
    """
    picture = np.uint8(ground.draw(rng, size, size)) if behind is None else behind
    if rng.random() < 0.5:
        picture = clutter.strew(rng, picture)
    picture = picture.astype(np.float32)
    share = np.zeros((size, size), np.float32)
    if rng.random() > 0.125:
        habit = Habit.random(rng)
        looks = Looks.random(rng, picture.mean((0, 1)))
        roots = root_system(rng, _crossing(rng, size, habit), habit)
        if habit.radius > 4 and rng.random() < 0.2:
            picture = _hairs(rng, picture, roots, looks)
        picture, share = _paint(rng, picture, roots, looks)
    return Patch(np.uint8(np.clip(picture, 0, 255)), share, np.ones((size, size), bool))


def draw_photograph(rng: Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A whole photograph of a plant's roots, grown from the top: H×W×3 uint8 and its mask, H×W bool."""
    habit = Habit(rng.uniform(2, 4), rng.uniform(0.02, 0.08), rng.uniform(18, 40), 0.02, 3)
    picture = ground.draw(rng, height, width)
    mains = [
        grow(
            rng,
            np.array([width * rng.uniform(0.4, 0.6), -4.0]),
            np.pi / 2 + rng.uniform(-0.9, 0.9),
            rng.uniform(0.7, 1.1) * height,
            habit.radius,
            habit,
        )
        for _ in range(int(rng.integers(2, 6)))
    ]
    looks = Looks.random(rng, picture.mean((0, 1)))
    picture, share = _paint(rng, picture, root_system(rng, mains, habit), looks)
    return np.uint8(np.clip(picture, 0, 255)), share >= 0.5
