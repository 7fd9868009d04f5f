"""The models that a user can choose from: the bundled ones, those to download, and the user's own files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from importlib import resources
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from .. import files
from ..errors import ModelError
from ..home import data_folder
from ..progress import Progress, silent
from .card import ModelCard, card_beside, card_of_file, digest_of, is_model_name

if TYPE_CHECKING:
    from .checkpoint import State
    from .network import MobileSAM

DEFAULT_MODEL = "rootfm"
WEIGHTS_SUFFIXES = (".safetensors", ".pth")
_CARD = "card.json"


@dataclass(frozen=True)
class _Entry:
    """A card and where its file lies or would lie; `own` is the folder of a model that the user imported."""

    card: ModelCard
    file: Path
    own: Path | None = None


class Library:
    """The models on this computer.

    Bundled cards and weights come with the package. Everything else lies under `home`: an imported model in
    ``models/<name>/``, its file named by its sha256; a download in ``downloads/``, named likewise.
    Needs no torch until weights are read or written.

    Args:
        home: Where it lies; by default `data_folder`.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = (home or data_folder()).expanduser().absolute()

    def cards(self) -> list[ModelCard]:
        """All models, the bundled ones first, then by name."""
        return [entry.card for entry in self._entries()]

    def damaged(self) -> list[str]:
        """A sentence for each folder of an imported model whose card cannot be read; `cards` leaves those out."""
        return self._imported()[1]

    def find(self, text: str) -> ModelCard | None:
        """The model of that name, upper or lower case, or of that whole sha256; None when there is none."""
        entry = self._find(text)
        return entry.card if entry else None

    def get(self, text: str) -> ModelCard:
        """As `find`; raises ModelError with the known names when there is none."""
        return self._get(text).card

    def origin(self, card: ModelCard) -> str:
        """How the model comes here: "bundled", "imported", "downloaded" or "to download". Raises ModelError."""
        entry = self._get(card.name)
        if entry.own:
            return "imported"
        if card.url is None:
            return "bundled"
        return "downloaded" if entry.file.is_file() else "to download"

    def path(self, card: ModelCard, progress: Progress = silent) -> Path:
        """The model's file on this computer, its sha256 just checked; downloaded first if need be.

        Raises:
            ModelError: The file is missing, damaged, or cannot be downloaded.
            Cancelled: `progress` raised it; nothing is left behind.
        """
        file = self._get(card.sha256).file
        if not file.is_file():
            self._obtain(card, file, progress)
        if digest_of(file) != card.sha256:
            raise ModelError(
                f"The file of the model {card.name} is damaged: {file} has another checksum than its card says. "
                f"Remove it (rootfm models remove {card.name}) or, if it is bundled, install the package again."
            )
        return file

    def add(self, path: str | os.PathLike[str], name: str | None = None) -> ModelCard:
        """Takes a copy of a weights file into the library, as safetensors, and asks for nothing.

        A card in the JSON file of the same name beside it is taken over. Otherwise tile sizes and padding are the
        default model's, since fine-tuned files descend from it, and the threshold is 0.5, since one measured for
        other weights does not carry over. The same weights are not stored twice: their card is given back.

        Raises:
            WeightsError: The file is not a Root Foundation Model.
            ModelError: The name is taken or cannot be a file name, or the library cannot be written.
        """
        from .checkpoint import read_state

        source = Path(path)
        if name is not None:
            self._check_free(name)
        state = read_state(source)
        card = card_beside(source) or card_of_file(source, self.get(DEFAULT_MODEL))
        try:
            return self._store(state, source, card, name)
        except OSError as error:
            raise ModelError(f"The library {self.home} cannot be written: {error.strerror or error}.") from error

    def remove(self, name: str) -> None:
        """Deletes an imported model, or the file of a downloaded one.

        Raises ModelError for an unknown or bundled model, or when the file cannot be deleted.
        """
        entry = self._get(name)
        match self.origin(entry.card):
            case "bundled":
                raise ModelError(f"The model {entry.card.name} comes with the package and cannot be removed.")
            case "to download":
                raise ModelError(f"The model {entry.card.name} has not been downloaded, so there is no file to remove.")
        try:
            if entry.own:
                # In one step, which Windows refuses while anybody reads the file: then nothing has changed.
                gone = entry.own.with_name(f".removed-{uuid4().hex[:8]}")
                os.replace(entry.own, gone)
                shutil.rmtree(gone, ignore_errors=True)
            else:
                entry.file.unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                f"The model {name} cannot be removed: {error}. Close what uses it and try again."
            ) from error

    def verify(self, name: str) -> None:
        """Compares the model's file with its checksum and reads it whole.

        Raises ModelError or WeightsError for a file that is missing, damaged or not downloaded yet.
        """
        from .checkpoint import read_state

        card = self.get(name)
        if self.origin(card) == "to download":
            raise ModelError(f"The model {card.name} has not been downloaded yet.")
        read_state(self.path(card))

    def export(self, name: str, destination: str | os.PathLike[str], progress: Progress = silent) -> None:
        """Writes the model as a `.pth` that RootPainter's own trainer reads, replacing `destination` in one step.

        Raises ModelError, or WeightsError when `destination` cannot be written.
        """
        from .checkpoint import read_state, write_pth

        if Path(destination).suffix != ".pth":
            raise ModelError(f"{destination} must end in .pth: by that RootPainter knows a foundation model.")
        write_pth(read_state(self.path(self.get(name), progress)), destination)

    def _entries(self) -> list[_Entry]:
        return self._bundled() + self._imported()[0]

    def _bundled(self) -> list[_Entry]:
        folder = bundle_folder()
        cards = [ModelCard.read(path) for path in folder.glob("*.json")]
        entries = []
        for card in sorted(cards, key=lambda card: (card.name != DEFAULT_MODEL, card.name)):
            beside = folder / card.file
            fetched = self.home / "downloads" / f"{card.sha256}{Path(card.file).suffix}"
            entries.append(_Entry(card, fetched if card.url and not beside.is_file() else beside))
        return entries

    def _imported(self) -> tuple[list[_Entry], list[str]]:
        entries, damaged = [], []
        for path in sorted((self.home / "models").glob(f"[!.]*/{_CARD}")):
            try:
                card = ModelCard.read(path)
                entries.append(_Entry(card, path.parent / card.file, path.parent))
            except ModelError as error:
                damaged.append(f"{error} Delete its folder, then add the model again.")
        return entries, damaged

    def _find(self, text: str) -> _Entry | None:
        wanted = text.casefold()
        return next((e for e in self._entries() if wanted in (e.card.name.casefold(), e.card.sha256)), None)

    def _get(self, text: str) -> _Entry:
        entry = self._find(text)
        if entry is not None:
            return entry
        if text == DEFAULT_MODEL:
            raise ModelError(f"The bundled model is missing from {bundle_folder()}: install the package again.")
        known = ", ".join(card.name for card in self.cards())
        named_as_path = "/" in text or "\\" in text or Path(text).suffix in (*WEIGHTS_SUFFIXES, ".pkl")
        no_file = f" Nor is there a file {text}." if named_as_path and not Path(text).exists() else ""
        raise ModelError(f"There is no model {text!r} in the library, which has: {known}.{no_file}")

    def _obtain(self, card: ModelCard, file: Path, progress: Progress) -> None:
        if card.url is None:
            raise ModelError(
                f"The file of the model {card.name} is missing: {file}. Remove the model and add it again or, "
                "if it is bundled, install the package again."
            )
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(f"The library {self.home} cannot be written: {error.strerror or error}.") from error
        from .download import download

        download(card, file, progress)

    def _store(self, state: State, source: Path, card: ModelCard, name: str | None) -> ModelCard:
        """A model comes to its place whole and in one step: of two that are added under one name, the first stays."""
        from .checkpoint import is_half_exact, write_safetensors

        models = self.home / "models"
        models.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=models) as workplace:
            folder = Path(workplace, "model")
            folder.mkdir()  # readable to all who share the library, unlike the workplace
            copy = folder / "copy.safetensors"
            if source.suffix.lower() == copy.suffix:
                shutil.copyfile(source, copy)
            else:
                write_safetensors(state, copy, half=is_half_exact(state))
            digest = files.sha256(copy)
            if known := self._find(digest):
                if known.file.is_file() and files.sha256(known.file) == digest:
                    if name is not None:
                        raise ModelError(f"These weights are in the library already, as {known.card.name}.")
                elif not (known.own or known.card.url):
                    raise ModelError(f"{known.file} has these weights and is damaged: install the package again.")
                else:  # Lost, damaged or never downloaded: here it is.
                    known.file.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(copy, known.file)
                return known.card
            name = name or self._free_name(card.name)
            size = copy.stat().st_size
            card = replace(card, name=name, file=f"{digest}.safetensors", sha256=digest, url=None, size_bytes=size)
            os.replace(copy, folder / card.file)
            files.write_text(folder / _CARD, card.to_json())
            try:
                os.rename(folder, models / name)
            except OSError:
                self._check_free(name)
                raise
        return card

    def _check_free(self, name: str) -> None:
        if not is_model_name(name):
            raise ModelError(
                f"A model cannot be called {name!r}: use up to 64 letters, digits, dots, hyphens and underscores, "
                "beginning with a letter or digit."
            )
        if self._find(name):
            raise ModelError(f"The library has a model {name} already. Choose another name or remove that one first.")
        if (folder := self.home / "models" / name).exists():
            raise ModelError(f"The folder {folder} is in the way of a model. Delete it or choose another name.")

    def _free_name(self, wanted: str) -> str:
        names = chain([wanted], (f"{wanted[:58]}-{number}" for number in count(2)))
        return next(name for name in names if not self._find(name) and not (self.home / "models" / name).exists())


def load_model(name_or_path: str | os.PathLike[str], progress: Progress = silent) -> tuple[MobileSAM, ModelCard]:
    """The network, ready for inference in float32 on the CPU, and the card of a library model or a weights file.

    Args:
        name_or_path: A model's name or whole sha256, else the path of a `.safetensors` or `.pth` file.
        progress: Called while a model is downloaded, in bytes.

    Raises:
        ModelError: Nothing is called so; the message lists the models there are.
        WeightsError: The file is not a Root Foundation Model.
    """
    from .checkpoint import load_network

    library = Library()
    card = library.find(name_or_path) if isinstance(name_or_path, str) else None
    if card is not None:
        return load_network(library.path(card, progress)), card
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and not path.is_file():
        library.get(name_or_path)
    network = load_network(path)
    return network, card_beside(path) or card_of_file(path, library.get(DEFAULT_MODEL))


def bundle_folder() -> Path:
    """Where the package keeps the bundled weights and cards."""
    return Path(str(resources.files("rootpainter_rootfm.weights")))
