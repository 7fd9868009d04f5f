"""`segment` instructions for foundation models, carried out by the engine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled, ImageError, MaskError, RootFMError
from ..progress import CancelToken
from .jobs import JobFile
from .listing import Listing
from .logs import Journal
from .models import Models
from .requests import SegmentRequest
from .worker import Further

if TYPE_CHECKING:
    from .asked import AskedJob

HIDDEN = ".rootfm"
"""Folder beside the masks for what RootPainter must not take for a mask."""
SHEET = f"{HIDDEN}/overview.png"
FEW = 4
"""Images that a window may ask for ahead of the one on the screen before they count as many."""
NAMED = 3
"""Images whose causes stand in one message."""
SECONDS_OF_PAUSE = 10.0
"""What cost a whole image in vain, as on a full disk, is not done again within this time."""


class ProjectSegmenting:
    """The images that a project's window is about to show, one at a time, so that newer wishes come first."""

    def __init__(self, request: SegmentRequest, models: Models, journal: Journal, further: Further) -> None:
        self.request = request
        self.instruction = request.instruction
        self._models, self._further = models, further
        self._pause = _Pause()
        self._names = deque(request.names)
        self._listing = Listing(request.images)
        self._failed: dict[str, str] = {}
        self._told = self._in_vain = False
        self._token = CancelToken()

    @property
    def many(self) -> bool:
        """Whether more images are left than a window asks for ahead of the one on the screen."""
        return len(self._names) > FEW

    def wait(self) -> None:
        """Nobody waits for word."""

    def run(self, between: Callable[[], None]) -> bool:
        """Makes the next mask; whether that was the last.

        Raises:
            ImageError: images could not be segmented. It may help to run it again, for they may be incomplete yet; only
                these are tried then.
            OSError: the folder of images cannot be reached, or that of the masks not be written to, just now.
        """
        _reach(self.request.images)
        self._pause.check()
        if self._names:
            name = self._names[0]
            if self.request.wanted(name):
                self._segment(name)
            else:
                self._further(self.instruction, False)
            self._names.popleft()
        # Before many others the first failure at once, for it may be the image on the screen.
        if self._failed and (not self._names or self.many and not self._told):
            self._told = True
            failed, self._failed = self._failed, {}
            self._names.extend(failed)
            self._listing.forget()
            error = ImageError(_sentence(failed.values()))
            if self._in_vain:
                self._pause.begin(error)
            self._in_vain = False
            raise error
        return not self._names

    def interrupt(self) -> None:
        """Ends it at the next tile; a later start goes on."""
        self._token.cancel()

    cancel = interrupt

    def drop(self) -> None:
        """Nobody waits for word."""

    def abandon(self, message: str) -> None:
        """The window was told by a message; nobody waits for more."""

    def _segment(self, name: str) -> None:
        from .asked import AskedJob

        request, image = self.request, self._listing.find(name)
        job = AskedJob(
            [image],
            request.output,
            self._models.segmenter(request),
            request.mask_format,
            overwrite=True,
            confidence=request.confidence,
            names={image: name},
        )
        if request.batch and request.again and _is_made(job, image):
            self._further(self.instruction, False)
            return  # before the trainer was started anew
        tiles: list[int] = []
        try:
            failed = job.run(cancel=self._token, tiles=lambda done, *_: tiles.append(done)).failed
        except OSError as error:
            self._pause.begin(error)
            raise
        if failed:
            self._failed[name] = failed[0].cause
            self._in_vain = self._in_vain or bool(tiles)  # An image that cannot be read costs little.
        else:
            # Without a batch the next start makes again what is asked for again.
            self._further(self.instruction, len(self._names) > 1 and bool(request.batch or not request.again))


class FolderSegmenting:
    """A whole folder, with its progress in a file that the window reads."""

    many = True
    """It is done in one part; urgent work comes between its images."""

    def __init__(self, request: SegmentRequest, models: Models, journal: Journal, further: Further) -> None:
        self.request = request
        self.instruction = request.instruction
        self._models, self._journal, self._further = models, journal, further
        self._token = CancelToken()
        self._pause = _Pause()
        self._file = JobFile(request.output, request.job or request.instruction.file, len(request.names), journal)
        self._put_off = False

    def wait(self) -> None:
        """It is queued; the window sees so."""
        self._file.queue()

    def run(self, between: Callable[[], None]) -> bool:
        """Makes all masks; what fails is listed and does not stop the rest.

        Raises:
            RootFMError: the model cannot be used, or no image can be worked on.
            OSError: a folder cannot be reached or written to just now. To run it again makes what is missing.
        """
        request = self.request
        _reach(request.images)
        self._pause.check()
        names = [name for name in request.names if name not in self._file.made]
        if not request.job:  # A window that knows us hears of masks that are not ours; for another one they are done.
            names = [name for name in names if request.wanted(name)]
        already = len(request.names) - len(names)
        self._file.start(already)
        job = None

        def before_next() -> None:
            between()
            self._reach_all()

        try:
            if names:
                job = self._job(names)
                job.run(lambda done, _, current: self._show(job, already + done, current), self._token, before_next)
            self._reach_all()
        except (RootFMError, OSError) as error:
            self._keep(job)
            if self._token.cancelled:
                self._say_stopped(job, len(names))
                # Whatever fails by then, nobody wants it tried again.
                raise Cancelled("Stopped on request.") from error
            self._file.queue()
            self._reach_all()  # Whatever noticed it, a drive that is away comes back.
            if isinstance(error, OSError):
                self._pause.begin(error)
            raise
        self._end(job, already)
        return True

    def cancel(self) -> None:
        """Ends it at the next tile."""
        self._token.cancel()

    def interrupt(self) -> None:
        """Ends it at the next tile; a later start goes on."""
        self._put_off = True
        self._token.cancel()

    def drop(self) -> None:
        """It was cancelled before it began."""
        self._file.end("cancelled", "Stopped before it began.")

    def abandon(self, message: str) -> None:
        """It is given up; the window hears why."""
        self._file.end("failed", message)

    def _reach_all(self) -> None:
        _reach(self.request.images, self.request.output)

    def _keep(self, job: AskedJob | None) -> None:
        """Notes what a job made that does not come to its end; without `again` the masks themselves tell."""
        from ..segment.report import Status

        if job is not None and self.request.again:
            self._file.made |= {job.names[result.image] for result in job.report.having(Status.MADE)}

    def _say_stopped(self, job: AskedJob | None, total: int) -> None:
        if self._put_off:
            self._file.put_off()
        else:
            reached = job.report.reached if job is not None else 0
            self._file.end("cancelled", f"Stopped after {reached} of {total} images.")

    def _job(self, names: list[str]) -> AskedJob:
        from .asked import AskedJob

        request, listing = self.request, Listing(self.request.images)
        asked = {listing.find(name): name for name in names}
        return AskedJob(
            list(asked),
            request.output,
            self._models.segmenter(request),
            request.mask_format,
            overwrite=request.again,
            confidence=request.confidence,
            preview=request.output / SHEET if request.preview else None,
            names=asked,
        )

    def _show(self, job: AskedJob, done: int, current: str) -> None:
        from ..segment.report import Status

        self._keep(job)
        failed = [(job.names[result.image], result.brief) for result in job.report.failed]
        written = self._file.show(done, current, failed)
        if job.report.having(Status.MADE):
            # What was made again is known by the file alone, all else by the masks.
            self._further(self.instruction, written or not self.request.again)

    def _end(self, job: AskedJob | None, already: int) -> None:
        failed = job.report.failed if job is not None else []
        message = f"Segmented {len(self.request.names) - len(failed)} of {len(self.request.names)} images."
        if failed:
            message += f" {len(failed)} failed, the first: {failed[0].brief}"
        if job is not None:
            self._show(job, len(self.request.names), "")
        self._file.end("done", message, SHEET if job is not None and job.preview else None)
        self._journal.tell(message, self.request.messages)


def _is_made(job: AskedJob, image: Path) -> bool:
    """Whether the mask that the job would make is there."""
    from ..segment import provenance

    try:
        return provenance.finished(job.target(image), image, job.how, job.extras(image)) is not None
    except (MaskError, OSError):
        return False


class _Pause:
    """After work in vain, tries fail for a while in the same words and at no cost."""

    def __init__(self) -> None:
        self._words = ""
        self._since = 0.0

    def begin(self, error: Exception) -> None:
        """Work was in vain."""
        self._words, self._since = str(error), time.monotonic()

    def check(self) -> None:
        """Raises OSError while the pause lasts."""
        if self._words and time.monotonic() - self._since < SECONDS_OF_PAUSE:
            raise OSError(self._words)


def _sentence(causes: Collection[str]) -> str:
    """Why images failed: the first causes in full, the rest in number, or a window could not show it."""
    named = " ".join(list(causes)[:NAMED])
    left = len(causes) - NAMED
    return f"{named} And {left} more could not be segmented." if left > 0 else named


def _reach(*folders: Path) -> None:
    """Raises OSError where a folder is gone: mostly its drive is away, and what fails meanwhile is tried again."""
    for folder in folders:
        if not folder.is_dir():
            raise OSError(f"The folder {folder} cannot be reached.")
