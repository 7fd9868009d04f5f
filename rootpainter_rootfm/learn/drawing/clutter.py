"""What lies about in photographs of roots, may be taken for one and is none: rims, frames, labels, leaves, drops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LETTERS = list("ABCDEFGHKLMNRSTXabdeghnrst0123456789-./ ")

Colour = tuple[int, ...]


def _colour(rng: Generator) -> Colour:
    return tuple(int(c) for c in rng.uniform(0, 255) * rng.uniform(0.8, 1, 3))


def _large_box(rng: Generator, layer: Image.Image) -> list[float]:
    """Left, top, right and bottom of something larger than the picture, which shows a side or a corner of it."""
    size = np.array(layer.size)
    near = rng.uniform(-0.5, 0.7, 2) * size
    far = near + rng.uniform(1.5, 4, 2) * size
    turned = rng.random(2) < 0.5
    left_top, right_bottom = np.where(turned, size - far, near), np.where(turned, size - near, far)
    return [*left_top.tolist(), *right_bottom.tolist()]


def _edge(rng: Generator, layer: Image.Image) -> None:
    """One long straight line, thin or broad: a ruler, a crack of the scanner, a stick."""
    width, height = layer.size
    place, slope = rng.uniform(0, max(layer.size)), rng.uniform(-0.1, 0.1) * max(layer.size)
    ends = [(-9, place), (width + 9, place + slope)]
    if rng.random() < 0.5:
        ends = [(y, x) for x, y in ends]
    ImageDraw.Draw(layer).line(ends, fill=_colour(rng), width=int(rng.choice([1, 2, 3, 6, 14, 40])))


def _rim(rng: Generator, layer: Image.Image) -> None:
    """The arc of a round plate or pot."""
    radius = rng.uniform(0.5, 3) * max(layer.size)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = (s * rng.uniform(0.2, 0.8) + radius * f(angle) for s, f in zip(layer.size, (np.cos, np.sin), strict=True))
    box = [x - radius, y - radius, x + radius, y + radius]
    ImageDraw.Draw(layer).ellipse(box, outline=_colour(rng), width=int(rng.integers(1, 7)))


def _beyond(rng: Generator, layer: Image.Image) -> np.ndarray:
    """H×W float32: how far each pixel lies outside of a large box, mostly with round corners; inside below 0."""
    width, height = layer.size
    left, top, right, bottom = _large_box(rng, layer)
    radius = float(rng.choice([0, *rng.uniform(0.1, 1.5, 3)])) * min(layer.size)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    beyond_x = np.maximum(left - x, x - right) + radius
    beyond_y = np.maximum(top - y, y - bottom) + radius
    corner = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    return corner + np.minimum(np.maximum(beyond_x, beyond_y), 0) - radius


def _lit(layer: Image.Image, light: np.ndarray) -> None:
    """Multiplies a picture by H×W factors."""
    layer.paste(Image.fromarray(np.uint8(np.clip(np.asarray(layer) * light[..., None], 0, 255))))


def _plate(rng: Generator, layer: Image.Image) -> None:
    """The edges of a plate and its lid: lines beside each other, as thin and as faint as roots, dark or bright."""
    beyond = _beyond(rng, layer)
    broad = float(np.exp(rng.uniform(np.log(4), np.log(90))))
    light = np.ones_like(beyond)
    for _ in range(int(rng.integers(1, 9))):
        place, thick = rng.uniform(-0.5, 0.5) * broad, float(np.exp(rng.uniform(np.log(0.5), np.log(4))))
        strength = rng.uniform(0.04, 0.6) * int(rng.choice([-1, -1, 1]))
        light += strength * np.exp(-(((beyond - place) / thick) ** 2))
    _lit(layer, light)


def _wall(rng: Generator, layer: Image.Image) -> None:
    """A thick wall of glass or plastic seen from above: soft stripes of light and shade along a side or a corner."""
    broad = float(np.exp(rng.uniform(np.log(8), np.log(120))))
    places = np.linspace(-broad / 2, broad / 2, int(rng.integers(6, 40)))
    stripes = rng.normal(0, rng.uniform(0.03, 0.3), len(places)) * np.hanning(len(places))
    _lit(layer, 1 + np.interp(_beyond(rng, layer), places, stripes, left=0, right=0))


def _frame(rng: Generator, layer: Image.Image) -> None:
    """The end of the scene: what lies beyond the scan, the plate or the tube, in one colour."""
    beyond = Image.new("L", layer.size, 255)
    radius = rng.choice([0, rng.uniform(0, 0.5)]) * min(layer.size)
    ImageDraw.Draw(beyond).rounded_rectangle(_large_box(rng, layer), radius, fill=0)
    if rng.random() < 0.5:
        beyond = beyond.filter(ImageFilter.GaussianBlur(rng.uniform(1, 12)))
    colour = [(0, 0, 0), (255, 255, 255), _colour(rng)][int(rng.integers(3))]
    layer.paste(colour, mask=beyond)


def _ruled(rng: Generator, layer: Image.Image) -> None:
    """Lines at equal distances: graph paper, the grid of a tray, the marks of a ruler."""
    pen, (width, height) = ImageDraw.Draw(layer), layer.size
    colour, distance, thick = _colour(rng), rng.uniform(7, 90), int(rng.integers(1, 4))
    reach = 1.0 if rng.random() < 0.7 else rng.uniform(0.03, 0.1)
    for place in np.arange(rng.uniform(0, distance), max(layer.size), distance):
        pen.line([(place, 0), (place, reach * height)], fill=colour, width=thick)
        if reach == 1:
            pen.line([(0, place), (width, place)], fill=colour, width=thick)


def _label(rng: Generator, layer: Image.Image) -> None:
    """Writing on the picture, or on a piece of paper that lies in it."""
    text = "".join(rng.choice(LETTERS) for _ in range(int(rng.integers(2, 14))))
    font = ImageFont.load_default(size=float(rng.integers(9, 60)))
    left, top, right, bottom = font.getbbox(text)
    margin = rng.uniform(0.1, 1) * (bottom - top + 8)
    size = round(right - left + 2 * margin), round(bottom - top + 2 * margin)
    on_paper = rng.random() < 0.5
    ink, paper = Image.new("L", size), Image.new("L", size, 255)
    ImageDraw.Draw(ink).text((margin - left, margin - top), text, fill=255, font=font)
    angle = rng.choice([0, 90, 180, 270]) + rng.normal(0, 8)
    ink, paper = (part.rotate(angle, Image.Resampling.BILINEAR, expand=True) for part in (ink, paper))
    place = tuple(int(p) for p in rng.uniform(-0.3, 0.9, 2) * layer.size)
    dark, light = (tuple(int(c * share) for c in _colour(rng)) for share in (0.4, 1))
    tinted = rng.random() < 0.3
    if on_paper:
        layer.paste(light if tinted else (235, 235, 230), place, paper)
    layer.paste(dark if on_paper else light, place, ink)


def _leaf(rng: Generator, layer: Image.Image) -> None:
    """A green leaf with its rib and stalk."""
    length = rng.uniform(0.2, 1.2) * max(layer.size)
    half, along = length * rng.uniform(0.03, 0.2), np.linspace(0, 1, 24)
    bend = rng.normal(0, 0.15) * length * along**2
    outline = half * np.sin(np.pi * along**0.8)
    angle, start = rng.uniform(0, 2 * np.pi), rng.uniform((0, 0), layer.size)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def placed(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        return [(px, py) for px, py in np.stack([x, y], 1) @ turn + start]

    green = np.array([rng.uniform(0.3, 0.9), 1, rng.uniform(0.1, 0.5)]) * rng.uniform(50, 220)
    pen = ImageDraw.Draw(layer)
    x = length * along
    sides = placed(np.concatenate([x, x[::-1]]), np.concatenate([bend + outline, (bend - outline)[::-1]]))
    pen.polygon(sides, fill=tuple(int(c) for c in green))
    rib = tuple(int(c) for c in np.clip(green * rng.uniform(0.7, 1.5), 0, 255))
    stalk = np.concatenate([np.linspace(-rng.uniform(0, 0.5), 0, 8)[:-1] * length, x])
    pen.line(placed(stalk, np.concatenate([np.zeros(7), bend])), fill=rib, width=max(1, round(half * 0.15)))


def _droplets(rng: Generator, layer: Image.Image) -> None:
    """Drops of water or bubbles: discs, or their rims."""
    pen, colour = ImageDraw.Draw(layer), _colour(rng)
    for _ in range(int(rng.integers(1, 12))):
        x, y = rng.uniform((0, 0), layer.size)
        a, b = np.exp(rng.uniform(np.log(1.5), np.log(22), 2))
        filled = rng.random() < 0.5
        pen.ellipse([x - a, y - b, x + a, y + b], outline=colour, fill=colour if filled else None)


def _condensation(rng: Generator, layer: Image.Image) -> None:
    """Mist on the tube or the lid: drops beside each other, dark or clear, with a bright rim or a glint of the lamp."""
    pen = ImageDraw.Draw(layer, "RGBA")
    distance = float(np.exp(rng.uniform(np.log(5), np.log(40))))
    left, top = rng.uniform(-0.5, 0.6, 2) * layer.size
    width, height = rng.uniform(0.3, 1.5, 2) * layer.size
    rows, columns = np.mgrid[top : top + height : distance, left : left + width : distance]
    places = np.stack([columns, rows], -1).reshape(-1, 2) + rng.normal(0, 0.3 * distance, (rows.size, 2))
    shade, rim = (*_colour(rng), int(rng.choice([0, rng.uniform(40, 160)]))), (*_colour(rng), int(rng.uniform(40, 220)))
    glint = (255, 255, 255, int(rng.choice([0, rng.uniform(80, 255)])))
    for (x, y), radius in zip(places, distance * rng.uniform(0.15, 0.6, len(places)), strict=True):
        tall = radius * rng.uniform(0.7, 1.4)
        pen.ellipse([x - radius, y - tall, x + radius, y + tall], fill=shade, outline=rim)
        spot = 0.2 * radius
        pen.ellipse([x - 2 * spot, y - 3 * spot, x, y - spot], fill=glint)


def _scratches(rng: Generator, layer: Image.Image) -> None:
    """Short straight scratches, thinner than most roots."""
    pen, colour = ImageDraw.Draw(layer), _colour(rng)
    for _ in range(int(rng.integers(1, 12))):
        start = rng.uniform((0, 0), layer.size)
        pen.line([tuple(start), tuple(start + rng.normal(0, 30, 2))], fill=colour, width=1)


_THINGS: tuple[Callable[[Generator, Image.Image], None], ...] = (
    _edge,
    _rim,
    _plate,
    _plate,
    _wall,
    _frame,
    _ruled,
    _label,
    _leaf,
    _droplets,
    _condensation,
    _scratches,
)


def strew(rng: Generator, picture: np.ndarray) -> np.ndarray:
    """Adds one to three things that may be taken for a root and are none. H×W×3 uint8 in and out."""
    layer = Image.fromarray(picture)
    for _ in range(int(rng.integers(1, 4))):
        _THINGS[int(rng.integers(len(_THINGS)))](rng, layer)
    blurred = layer.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return np.asarray(Image.blend(Image.fromarray(picture), blurred, rng.uniform(0.5, 1)))
