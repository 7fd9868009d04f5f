"""One image of a folder: read, segmented, written; whatever goes wrong with it becomes a row of the report."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .. import files, images, masks
from ..errors import Cancelled, ImageError, MaskError, RootFMError
from ..progress import CancelToken, Progress
from . import disk, overlay, provenance
from .engine import Segmentation
from .report import ImageResult, Measures, Status

if TYPE_CHECKING:
    from .folder import FolderJob

_log = logging.getLogger(__name__)
_BYTES_PER_PIXEL = 6  # three of the photograph, two of the probability, one of the mask

T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """What is kept of a photograph until its mask is written."""

    source: provenance.Source
    before: files.Stamp | None
    """Of what lay in the mask's place, when it was decided that it may be replaced."""
    remark: str
    small: np.ndarray | None
    """Its thumbnail, where the sheet shows this image."""
    seconds: float
    """Spent on it so far."""


class Making:
    """The steps of one run of a `FolderJob`; `load` and `save` may run in threads.

    Attributes:
        refusal: Why the output folder takes no more files; empty while it does.
    """

    def __init__(self, job: FolderJob) -> None:
        self.job = job
        self._how = job.how
        self._shown = set(overlay.chosen(len(job.images)) if job.preview else ())
        self._entries: dict[int, overlay.Entry] = {}
        self.refusal = ""

    def cost(self, index: int) -> int:
        """Bytes that image `index` takes from reading to written; 0 where that cannot be told."""
        try:
            return images.pixel_count(self.job.images[index], page=self.job.page) * _BYTES_PER_PIXEL
        except ImageError:
            return 0

    def load(self, index: int) -> tuple[np.ndarray, About] | ImageResult:
        """The photograph, H×W×3 uint8, or its result when there is nothing to do or it cannot be read."""
        return self._guarded(index, lambda: self._load(index))

    def segment(
        self, index: int, pixels: np.ndarray, cancel: CancelToken, tiles: Progress
    ) -> tuple[Segmentation, float] | ImageResult:
        """The segmentation and the seconds it took, or the result when it failed."""
        started = time.perf_counter()

        def work() -> tuple[Segmentation, float]:
            return self.job.segmenter.segment(pixels, cancel, tiles), time.perf_counter() - started

        return self._guarded(index, work)

    def save(self, index: int, about: About, found: Segmentation, seconds: float) -> ImageResult:
        """Writes the mask, after everything that belongs beside it: a mask that is there is a finished one."""

        def work() -> ImageResult:
            try:
                return self._save(index, about, found, about.seconds + seconds)
            except (MaskError, OSError) as error:
                self.refusal = self.refusal or disk.refusal(self.job.out, error)
                raise

        return self._guarded(index, work)

    def write_sheet(self) -> None:
        """Writes the sheet of overlays; raises MaskError when it cannot."""
        shown, count, folder = len(self._entries), len(self.job.images), self.job.images[0].resolve().parent
        title = f"{folder.parent.name}/{folder.name}: {'one image' if count == 1 else f'{count} images'}"
        title += f", {shown} of them" if shown < count else ""
        title += "   ·   roots painted as found by " + " + ".join(card.title for card in self.job.segmenter.cards)
        try:
            overlay.write_sheet([self._entries[index] for index in sorted(self._entries)], title, self.job.preview)
        except OSError as error:
            raise MaskError(f"{self.job.preview} cannot be written: {error.strerror or error}.") from error

    def _load(self, index: int) -> tuple[np.ndarray, About] | ImageResult:
        job, path, started = self.job, self.job.images[index], time.perf_counter()
        finished, before, read = None, files.stamp(job.target(path)), files.stamp(path)
        if not job.overwrite:
            finished = provenance.finished(job.target(path), path, self._how, job.extras(path))
        if finished and index not in self._shown:
            return self._kept(index, finished)
        photograph = images.read_photograph(path, page=job.page, stretch=job.stretch, max_pixels=job.max_pixels)
        small = overlay.thumbnail(photograph.pixels) if index in self._shown else None
        if finished:
            return self._kept(index, finished, small)
        only = f"only page {job.page} of its {photograph.pages} pages was segmented"
        source = provenance.Source.of(path, job.target(path), photograph.sha256)
        if files.stamp(path) != read:
            raise ImageError(f"{path} was changed while it was read. Run the same again once it is complete.")
        remark = only if photograph.pages > 1 else ""
        return photograph.pixels, About(source, before, remark, small, time.perf_counter() - started)

    def _save(self, index: int, about: About, found: Segmentation, seconds: float) -> ImageResult:
        job, path, started = self.job, self.job.images[index], time.perf_counter()
        measures = Measures.of(found)
        if not job.overwrite and files.stamp(job.target(path)) != about.before:
            # Another run made it meanwhile, or somebody corrected it, which is what `finished` raises for.
            finished = provenance.finished(job.target(path), path, self._how, job.extras(path))
            if finished:
                return self._kept(index, finished, about.small)
        extras = job.extras(path)
        for extra in extras:
            extra.parent.mkdir(exist_ok=True)
            self._write_extra(extra, found, measures)
        for old in job.outdated(path):
            old.unlink(missing_ok=True)
        names = sorted({extra.parent.name for extra in extras})
        mask, remark = provenance.digest(found.mask), "; ".join(filter(None, (about.remark, found.remark)))
        note = provenance.Provenance(self._how, about.source, names, measures, mask, remark)
        masks.write(found.mask, job.target(path), job.mask_format, note.to_text())
        if about.small is not None:
            self._show(index, about.small, found.mask, measures)
        seconds += time.perf_counter() - started
        return ImageResult(path, Status.MADE, remark, seconds, measures)

    def _write_extra(self, path: Path, found: Segmentation, measures: Measures) -> None:
        if path.suffix == ".tif":
            masks.write_probability(found.probability16, path)
        elif path.suffix == ".png":
            masks.write_probability_preview(found.probability16, path)
        else:
            segmenter = self.job.segmenter
            about = {"model": "+".join(card.sha256 for card in segmenter.cards), "threshold": segmenter.threshold}
            files.write_text(path, json.dumps(about | asdict(measures)))

    def _show(self, index: int, small: np.ndarray, mask: np.ndarray, measures: Measures) -> None:
        remark = f"{measures.coverage:.1%} root"
        name = self.job.images[index].name
        self._entries[index] = overlay.Entry(name, remark, small, overlay.painted(small, mask))

    def _kept(
        self, index: int, finished: tuple[np.ndarray, provenance.Provenance], small: np.ndarray | None = None
    ) -> ImageResult:
        mask, note = finished
        if small is not None:
            self._show(index, small, mask, note.measures)
        return ImageResult(self.job.images[index], Status.SKIPPED, note.remark, None, note.measures)

    def _guarded(self, index: int, work: Callable[[], T]) -> T | ImageResult:
        path = self.job.images[index]
        try:
            return work()
        except Cancelled:
            raise
        except (RootFMError, OSError) as error:
            cause = str(error)
        except MemoryError:
            cause = "There was not enough memory for it."
        # The others must go on whatever it was; the log has where it came from.
        except Exception as error:
            _log.exception("%s failed", path)
            cause = f"Unexpected {type(error).__name__}: {error}"
        failed = ImageResult(path, Status.FAILED, cause)
        if index in self._shown:
            self._entries[index] = overlay.Entry(path.name, failed.brief)
        return failed
