"""`segment` instructions for foundation models, carried out by the engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import Cancelled, ImageError, RootFMError
from ..progress import CancelToken
from .jobs import JobFile
from .logs import Journal
from .models import Models
from .requests import SegmentRequest

if TYPE_CHECKING:
    from ..segment.folder import FolderJob

HIDDEN = ".rootfm"
"""Folder beside the masks for what RootPainter must not take for a mask."""
SHEET = f"{HIDDEN}/overview.png"


class ProjectSegmenting:
    """The images that a project's window is about to show, one at a time, so that newer wishes come first."""

    def __init__(self, request: SegmentRequest, models: Models, journal: Journal) -> None:
        self.request = request
        self.instruction = request.instruction
        self._models, self._journal = models, journal
        self._names = deque(request.names)
        self._failed: list[str] = []
        self._token = CancelToken()

    def run(self, between: Callable[[], None]) -> bool:
        """Makes the next mask; whether that was the last.

        Raises:
            ImageError: images could not be segmented; it may help to try again, for they may be incomplete yet.
        """
        if self._names:
            name = self._names.popleft()
            if self.request.wanted(name):
                self._segment(name)
        if not self._names and self._failed:
            raise ImageError(" ".join(self._failed))
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
        from ..segment.folder import FolderJob

        request = self.request
        job = FolderJob(
            [request.images / name],
            request.output,
            self._models.segmenter(request),
            request.mask_format,
            overwrite=True,
            confidence=request.confidence,
        )
        self._failed += [result.cause for result in job.run(cancel=self._token).failed]


class FolderSegmenting:
    """A whole folder, with its progress in a file that the window reads."""

    def __init__(self, request: SegmentRequest, models: Models, journal: Journal) -> None:
        self.request = request
        self.instruction = request.instruction
        self._models, self._journal = models, journal
        self._token = CancelToken()
        self._file = JobFile(request.output, request.job or request.instruction.file, len(request.names))
        self._file.queue()
        self._put_off = False

    def run(self, between: Callable[[], None]) -> bool:
        """Makes all masks; what fails is listed and does not stop the rest.

        Raises:
            RootFMError: the model cannot be used, or no image can be worked on.
        """
        request = self.request
        # A window that knows us hears of masks that are not ours; for another one they are done, as ever.
        names = [name for name in request.names if request.job or request.wanted(name)]
        already = len(request.names) - len(names)
        self._file.start(already)
        job = None
        try:
            if names:
                job = self._job(names)
                job.run(lambda done, _, current: self._show(job, already + done, current), self._token, between)
        except (RootFMError, OSError) as error:
            if not self._token.cancelled:
                raise
            if self._put_off:
                self._file.put_off()
            else:
                reached = job.report.reached if job is not None else 0
                self._file.end("cancelled", f"Stopped after {reached} of {len(names)} images.")
            # Whatever fails by then, nobody wants it tried again.
            raise Cancelled("Stopped on request.") from error
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

    def _job(self, names: list[str]) -> FolderJob:
        from ..segment.folder import FolderJob

        request = self.request
        return FolderJob(
            [request.images / name for name in names],
            request.output,
            self._models.segmenter(request),
            request.mask_format,
            overwrite=request.again,
            confidence=request.confidence,
            preview=request.output / SHEET if request.preview else None,
        )

    def _show(self, job: FolderJob, done: int, current: str) -> None:
        self._file.show(done, current, [(result.image.name, result.brief) for result in job.report.failed])

    def _end(self, job: FolderJob | None, already: int) -> None:
        failed = job.report.failed if job is not None else []
        message = f"Segmented {len(self.request.names) - len(failed)} of {len(self.request.names)} images."
        if failed:
            message += f" {len(failed)} failed, the first: {failed[0].brief}"
        if job is not None:
            self._show(job, len(self.request.names), "")
        self._file.end("done", message, SHEET if job is not None and job.preview else None)
        self._journal.tell(message, self.request.messages)
