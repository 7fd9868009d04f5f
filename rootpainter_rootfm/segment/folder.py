"""`FolderJob`: many photographs become masks, read and written beside the computing, stoppable and resumable."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from .. import images as image_files
from ..errors import DataError
from ..files import is_there, remove_abandoned
from ..masks import MaskFormat
from ..progress import CancelToken, Progress, silent
from .disk import DiskError, try_to_write
from .engine import Segmenter
from .flow import Flow
from .making import Making
from .report import FolderReport, ImageResult

PROBABILITY_FOLDER: Final = "rootfm_probability"
"""Beside the masks, not among them: RootPainter takes every image file in a folder of masks for a mask."""
CONFIDENCE_FOLDER: Final = ".rootfm"


@dataclass
class FolderJob:
    """The masks of some images in one output folder.

    A mask that is there already is skipped when it is whole and was made from the same image with the same weights and
    settings; it is made anew when it was made with others, or when the image was edited. A mask that was not made by
    this program, was changed since, or belongs to another image or page, is kept, and its image counts as failed,
    unless `overwrite` is set.
    """

    images: Sequence[Path]
    """Files; the mask of `<stem>.<any>` is `<stem>.png`, or `<stem>.npz`."""
    out: Path
    """The output folder; made when the job runs."""
    segmenter: Segmenter
    mask_format: MaskFormat = MaskFormat.ROOTPAINTER
    overwrite: bool = False
    """Make every mask anew, whoever made what is there."""
    probability: bool = False
    """Also write `rootfm_probability/<stem>.tif`, 16-bit."""
    confidence: bool = False
    """Also write `.rootfm/<stem>.png` (8-bit probability) and `.rootfm/<stem>.json` for RootPainter's window."""
    page: int = 0
    """Which page of a multi-page TIFF, from 0."""
    stretch: bool = False
    """Stretch the contrast of 8-bit images too."""
    max_pixels: int = image_files.MAX_PIXELS
    """Larger images are refused."""
    preview: Path | None = None
    """Where to write a sheet of overlays (PNG) at the end; None for none."""
    report: FolderReport = field(init=False)
    """What became of every image, also after `run` was stopped."""

    def __post_init__(self) -> None:
        self.images = [Path(image) for image in self.images]
        self.out = Path(self.out)
        self.report = FolderReport(self.images)

    @property
    def how(self) -> dict[str, Any]:
        """What decides a mask besides its image, as JSON types."""
        reading = {"page": self.page, "stretch": self.stretch, "format": self.mask_format.value}
        return json.loads(json.dumps(self.segmenter.signature | reading))

    def stem(self, image: Path) -> str:
        """The name, without ending, of all that is written of an image."""
        return image.stem

    def target(self, image: Path) -> Path:
        """Where the mask of an image belongs."""
        return self._mask(image, self.mask_format)

    def extras(self, image: Path) -> list[Path]:
        """What is written beside the mask of an image."""
        return [path for wanted, paths in self._beside(image) if wanted for path in paths]

    def outdated(self, image: Path) -> list[Path]:
        """What an earlier run may have written beside it and this one does not: it would belong to another mask.

        Nothing where the image has a mask in another format, to which it belongs.
        """
        if any(is_there(place) for place in {self._mask(image, form) for form in MaskFormat} - {self.target(image)}):
            return []
        return [path for wanted, paths in self._beside(image) if not wanted for path in paths]

    def _mask(self, image: Path, mask_format: MaskFormat) -> Path:
        return self.out / (self.stem(image) + mask_format.suffix)

    def _beside(self, image: Path) -> list[tuple[bool, list[Path]]]:
        stem = self.stem(image)
        confidence = [self.out / CONFIDENCE_FOLDER / f"{stem}{suffix}" for suffix in (".png", ".json")]
        return [
            (self.probability, [self.out / PROBABILITY_FOLDER / f"{stem}.tif"]),
            (self.confidence, confidence),
        ]

    def check(self) -> None:
        """Looks for what would go wrong, before any work.

        Raises:
            DataError: there are no images, some of them would share one mask (the message names them), or masks would
                lie among the photographs.
        """
        if not self.images:
            raise DataError("There are no images to segment.")
        if self.out.exists() and not self.out.is_dir():
            raise DataError(f"The output {self.out} is a file; name a folder.")
        for folder in sorted({image.parent for image in self.images}):
            if self.out.exists() and folder.exists() and os.path.samefile(self.out, folder):
                raise DataError(
                    f"The images lie in {folder}, where masks could replace them; choose another output folder."
                )
        # Without regard to case: the folder may be copied to Windows or macOS later.
        sharing = defaultdict(list)
        for image in self.images:
            sharing[self.stem(image).casefold()].append(str(image))
        clashes = "; ".join(" and ".join(same) for same in sharing.values() if len(same) > 1)
        if clashes:
            raise DataError(f"Images would share one mask: {clashes}. Rename all but one of them, or move them away.")

    def run(
        self,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
        between: Callable[[], None] | None = None,
        tiles: Progress = silent,
    ) -> FolderReport:
        """Segments the images in their order.

        One bad image never stops the others: it is in the report, with its cause. A disk that takes no more files stops
        them all. However the run ends, no file is half-written, no thread is left behind, and `report` says how far it
        came.

        Args:
            progress: counts images, those that failed or were skipped included; told when one begins and when one ends.
            cancel: looked at between images and between batches of tiles.
            between: called between two images, on the caller's thread.
            tiles: counts the tiles of the image at hand.

        Raises:
            DataError: as `check`, or the output folder cannot be made.
            DiskError: the output folder takes no files, or no more; what is made stays, and another run goes on.
            Cancelled: `cancel` was used.
            MaskError: the sheet of overlays cannot be written.
        """
        self.check()
        self._make_out()
        cancel = cancel or CancelToken()
        self.report = FolderReport(self.images)
        making = Making(self)

        def settled(index: int, result: ImageResult) -> None:
            self.report.results[index] = result
            progress(self.report.reached, len(self.images), result.image.name)

        with Flow(len(self.images), making.load, making.cost, settled) as flow:
            for index, image in enumerate(self.images):
                if between and index:
                    between()
                cancel.check()
                if making.refusal:
                    break
                progress(self.report.reached, len(self.images), image.name)
                self._pass_on(index, flow, making, cancel, tiles)
        if making.refusal:
            raise DiskError(making.refusal)
        if self.preview:
            making.write_sheet()
        return self.report

    def _make_out(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"The output folder {self.out} cannot be made: {error.strerror or error}.") from error
        for folder in (self.out, self.out / PROBABILITY_FOLDER, self.out / CONFIDENCE_FOLDER):
            remove_abandoned(folder)
        if len(self.images) > 1:  # Of a single one nothing is lost but itself.
            try_to_write(self.out)

    def _pass_on(self, index: int, flow: Flow, making: Making, cancel: CancelToken, tiles: Progress) -> None:
        loaded = flow.take(index)
        if isinstance(loaded, ImageResult):
            flow.finish(index, loaded)
            return
        pixels, about = loaded
        segmented = making.segment(index, pixels, cancel, tiles)
        if isinstance(segmented, ImageResult):
            flow.finish(index, segmented)
        else:
            # Only the mask goes on: the photograph's memory is free as soon as this returns.
            flow.put(index, partial(making.save, index, about, *segmented))
