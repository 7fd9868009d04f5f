"""The sync folder: where RootPainter's folders are in it, and which paths an instruction may name."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from ..errors import HostError

logger = logging.getLogger(__name__)

RECORDS = ("instructions", "executed_instructions", "failed_instructions")
FOLDERS = ("projects", "datasets", *RECORDS)
SHARED_MODELS = "models_rootfm"
"""The window leaves a copy of a library model here, so that a trainer on another machine finds it."""


class Refused(HostError):
    """An instruction asks for what may not or cannot be done; trying again cannot help."""


def find_sync_dir(option: str | None) -> Path:
    """The folder given by ``--syncdir``, else the one in RootPainter's own settings file; asks no question."""
    if option:
        return Path(option).expanduser()
    settings = Path.home() / "root_painter_settings.json"
    try:
        return Path(json.loads(settings.read_text(encoding="utf-8"))["sync_dir"])
    except FileNotFoundError as error:
        raise HostError(
            f"No sync folder is known: {settings} does not exist. Name the one that RootPainter uses: --syncdir FOLDER"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(f"{settings} cannot be read ({error}). Give the sync folder: --syncdir FOLDER") from error


class SyncFolder:
    """The one folder that window and trainer share.

    Attributes:
        root: The folder, absolute and with every symbolic link followed.
        allow_local_paths: Whether an instruction that asks for it may use folders outside `root`.
    """

    def __init__(self, root: str | os.PathLike[str], allow_local_paths: bool = False) -> None:
        self.root = Path(root).resolve()
        self.allow_local_paths = allow_local_paths
        self.instructions, self.executed, self.failed = (self.root / name for name in RECORDS)

    def prepare(self) -> None:
        """Makes the folders that RootPainter expects, and the sync folder itself where nothing but that is missing.

        Raises:
            HostError: it cannot be made, or there is not even the folder that would hold it.
        """
        try:
            if not self.root.exists():
                self.root.mkdir()
                logger.info("The sync folder %s did not exist and was made.", self.root)
            for name in FOLDERS:
                (self.root / name).mkdir(exist_ok=True)
        except FileNotFoundError as error:
            # A drive that is not connected, or a slip of the pen: what is made there would be found by no window.
            message = f"The sync folder {self.root} does not exist. Check its name, and that its drive is connected."
            raise HostError(message) from error
        except OSError as error:
            message = f"The sync folder {self.root} cannot be used: {error}. Choose a folder you can write to."
            raise HostError(message) from error

    def path(self, text: str, local: bool = False) -> Path:
        """The path that `text` of an instruction names on this machine, as RootPainter's own trainer reads it.

        Args:
            text: Relative to the sync folder, with slashes of either kind.
            local: The instruction asks for paths outside the sync folder.

        Raises:
            Refused: It lies outside the sync folder, links followed, and that is not allowed.
        """
        if not isinstance(text, str) or not text or "\0" in text:
            raise Refused(f"An instruction holds {text!r} where a path is needed.")
        path = Path(os.path.join(self.root, os.path.normpath(text.replace("\\", "/")))).resolve()
        if path.is_relative_to(self.root):
            return path
        if not local:
            raise Refused(f"{path} is outside the sync folder {self.root}. Move it into the sync folder.")
        if not self.allow_local_paths:
            raise Refused(f"{path} is outside the sync folder. Start the trainer with --allow-local-paths to use it.")
        return path


def plain_name(name: object) -> str:
    """`name` if it is a bare file name, which leads to no other folder, else raises `Refused`.

    Slashes of both kinds count on every system. Colons lead to other drives on Windows only; on macOS, what Finder
    shows as a slash in a file name is one.
    """
    leading_away = "/\\\0:" if os.name == "nt" else "/\\\0"
    if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in leading_away):
        raise Refused(f"{name!r} is not a plain file name.")
    return name
