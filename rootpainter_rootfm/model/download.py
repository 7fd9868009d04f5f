"""Fetches a model's weights: into a file beside their place, checked by their sha256, then moved there in one step."""

from __future__ import annotations

import shutil
from pathlib import Path

import pooch
import requests

from ..errors import ModelError
from ..files import replacing
from ..progress import Progress
from .card import ModelCard

RETRIES = 2
CHUNK_BYTES = 1 << 16


class _Bar:
    """What pooch takes for a progress bar, handing on to a `Progress` in bytes."""

    def __init__(self, progress: Progress, card: ModelCard) -> None:
        self._done = 0
        self._card = card
        self._progress = progress

    @property
    def total(self) -> int:
        return self._card.size_bytes

    @total.setter
    def total(self, size: int) -> None:
        # Set at the beginning of every attempt, and what the server says of the size is no measure.
        self._done = 0

    def update(self, count: int) -> None:
        self._done += count
        self._progress(min(self._done, self.total), self.total, self._card.title)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


def download(card: ModelCard, target: Path, progress: Progress) -> None:
    """Fetches `card.url` to `target`; nothing is left behind on failure or when `progress` raises.

    Raises:
        ModelError: There is no connection, the server refuses, the disk is full, or what came has another sha256.
    """
    store = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: f"sha256:{card.sha256}"},
        urls={target.name: card.url},
        retry_if_failed=RETRIES,
    )
    source = pooch.HTTPDownloader(progressbar=_Bar(progress, card), chunk_size=CHUNK_BYTES, timeout=30)
    otherwise = f"Get the file in another way and use it with: rootfm models add {card.file}"
    try:
        store.fetch(target.name, downloader=source)
        # What pooch leaves nobody but its owner may read: a library may lie on a shared drive.
        with replacing(target) as beside:
            shutil.copyfile(target, beside)
    except ValueError as error:
        raise ModelError(
            f"What {card.url} gave is not the model {card.name}: its checksum is another one, so it was thrown away. "
            f"Try again later. {otherwise}"
        ) from error
    except OSError as error:  # what requests raises is one too
        raise ModelError(
            f"The model {card.name} cannot be downloaded from {card.url}: {_cause(error)}. {otherwise}"
        ) from error


def _cause(error: OSError) -> object:
    """Why it failed, without the addresses of objects that requests names."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection to the server"
    return error.strerror or error
