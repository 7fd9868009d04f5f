"""Which RootPainter is here, where its seams are, and whether they are as a plugin expects them."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import HostError

TESTED = "0.2.27 (root-painter-painter 0.1.1) and 0.3.1"
_CHECKOUT_PLACES = ("", "painter/src/main/python", "src/main/python")


@dataclass(frozen=True)
class Seam:
    """A place of RootPainter that a plugin holds on to.

    Attributes:
        part: the part of the plugin that needs it, in words that a user reads ("the menu Models").
        module: RootPainter's module, e.g. ``"segment_folder"``.
        owner: the class in that module.
        name: a method or class attribute of that class.
        parameters: the parameter names of the method without ``self``; None for an attribute that is no method.
    """

    part: str
    module: str
    owner: str
    name: str
    parameters: tuple[str, ...] | None = ()


class Host:
    """A RootPainter that can be opened: its version, its modules, and its methods to hold on to.

    Args:
        package: ``"root_painter."`` for the pip package, ``""`` for the flat modules of a source checkout.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self.version = _version(self.module("about"))
        self.window_class: type = self.module("root_painter").RootPainter

    def module(self, name: str) -> ModuleType:
        """RootPainter's own module `name`, whichever layout it has; raises `HostError`."""
        try:
            return importlib.import_module(self._package + name)
        except ImportError as error:
            raise HostError(f"RootPainter's part '{name}' cannot be loaded: {error}. Install it again.") from error

    def owner(self, seam: Seam) -> type | None:
        """The class that a seam lies in, or None where this RootPainter has none."""
        try:
            return getattr(self.module(seam.module), seam.owner, None)
        except HostError:
            return None

    def missing(self, seams: Iterable[Seam]) -> dict[str, str]:
        """The parts that cannot work here, each with the sentence that says why; empty when all is as expected."""
        faults: dict[str, str] = {}
        for seam in seams:
            fault = self._fault(seam)
            if fault:
                faults.setdefault(seam.part, self.explain(seam.part, fault))
        return faults

    def explain(self, part: str, fault: str) -> str:
        """The sentence for a user whose RootPainter is not as `part` expects it."""
        return (
            f"RootPainter {self.version} has changed: {fault}. The part '{part}' is switched off; "
            f"RootPainter itself is unaffected. Tested with RootPainter {TESTED}."
        )

    def _fault(self, seam: Seam) -> str | None:
        place = f"{seam.owner}.{seam.name}"
        owner = self.owner(seam)
        if owner is None:
            return f"{seam.owner} is missing"
        if not hasattr(owner, seam.name):
            return f"{place} is missing"
        if seam.parameters is None:
            return None
        expected = ("self", *seam.parameters)
        found = tuple(inspect.signature(inspect.unwrap(getattr(owner, seam.name))).parameters)
        if found[: len(expected)] != expected:
            return f"{place} takes ({', '.join(found)}) instead of ({', '.join(expected)})"
        return None


def wrap(owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Puts ``make(original)`` in the place of the method `name`, on the class itself.

    RootPainter imports its classes by name, so a class put in the place of another would not be seen.
    """
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def lacking(thing: object, names: Iterable[str]) -> str | None:
    """The first of the dotted attribute `names` that `thing` does not have, or None."""
    for name in names:
        place = thing
        for step in name.split("."):
            if not hasattr(place, step):
                return f"{type(thing).__name__}.{name}"
            place = getattr(place, step)
    return None


def find_host(checkout: Path | None = None) -> Host:
    """RootPainter from a source checkout, or else the installed package; raises `HostError`.

    Args:
        checkout: RootPainter's sources: the repository, its folder ``painter``, or the folder that holds ``main.py``.
    """
    if checkout is not None:
        return Host(_enter_checkout(Path(checkout)))
    if importlib.util.find_spec("root_painter") is None:
        raise HostError(
            "RootPainter is not installed beside this plugin. Run: pip install root-painter-painter, "
            "or name a copy of its sources with --rootpainter."
        )
    return Host("root_painter.")


def _enter_checkout(checkout: Path) -> str:
    for place in _CHECKOUT_PLACES:
        folder = (checkout.expanduser() / place).resolve()
        if (folder / "root_painter.py").is_file() and (folder / "segment_folder.py").is_file():
            sys.path.insert(0, str(folder))
            importlib.invalidate_caches()
            return ""
    raise HostError(
        f"There is no RootPainter in {checkout}. Name the folder that holds painter/src/main/python/root_painter.py."
    )


def _version(about: ModuleType) -> str:
    # The only place that carries the number in both layouts is the text of the About window.
    found = re.search(r"Version: (\d[\w.]*)", inspect.getsource(about))
    return found.group(1) if found else "of unknown version"
