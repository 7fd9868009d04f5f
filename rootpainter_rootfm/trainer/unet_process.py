"""RootPainter's own trainer as a process beside ours, and the private folder by which it is told what to do."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import files
from .unet_child import READY

logger = logging.getLogger(__name__)

SECONDS_TO_END = 1.0


@dataclass(frozen=True)
class Answer:
    """What became of something that was given to the process; `error` is empty when it was done."""

    file: str
    error: str = ""


class UNetProcess:
    """The running process; it ends with this one, however this one ends.

    Args:
        options: Command line options of RootPainter's trainer, such as ``--maxbatchsize 4``.

    Attributes:
        folder: Its private sync folder.
    """

    def __init__(self, options: Sequence[str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rootfm-unet-"))
        self._later: dict[str, str] = {}
        self._given: set[str] = set()
        # -P: files in the folder where the user happens to be must not take the place of Python's own modules.
        command = [sys.executable, "-P", "-m", f"{__package__}.unet_child", str(self.folder), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        logger.info("RootPainter's own trainer runs as process %d", self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def give(self, name: str, content: Mapping[str, Any]) -> str:
        """Gives it an instruction, whose paths must be absolute; returns the name by which the answer refers to it."""
        file = f"{name}_{uuid4().int}"
        self._later[file] = json.dumps(content)
        return file

    def answers(self) -> list[Answer]:
        """What it has done since the last call."""
        self._hand_over()
        answers = []
        for file in sorted(self._given):
            failed = self.folder / "failed_instructions" / file
            if (self.folder / "executed_instructions" / file).exists():
                answers.append(Answer(file))
            elif failed.exists() and (reason := failed.with_name(f"{file}_exception.txt")).exists():
                answers.append(Answer(file, reason.read_text(encoding="utf-8", errors="replace").strip() or "Unknown"))
        self._given -= {answer.file for answer in answers}
        return answers

    def training(self) -> bool | None:
        """Whether it trains, as it said last; None before it said anything."""
        try:
            return bool(json.loads((self.folder / "trainer_status.json").read_text(encoding="utf-8"))["training"])
        except (OSError, ValueError, KeyError):
            return None

    def end(self) -> None:
        """Ends it now; what it writes, it writes beside and copies, so the next start goes on."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # A drive that does not answer may hold it for long.
            self._process.wait(SECONDS_TO_END)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _hand_over(self) -> None:
        # It deletes every instruction that it finds when it starts.
        if not (self.folder / READY).exists():
            return
        for file, text in list(self._later.items()):
            # It takes what it finds in any order: start, stop and questions are handed over one after the other.
            if not _segments(file) and not all(map(_segments, self._given)):
                continue
            files.write_text(self.folder / "instructions" / file, text)
            self._given.add(file)
            del self._later[file]


def _segments(file: str) -> bool:
    return file.startswith("segment_")
