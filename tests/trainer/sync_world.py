"""A sync folder with a dataset, a project and a trainer that works in the test's own thread."""

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from rootpainter_rootfm import masks
from rootpainter_rootfm.trainer.paths import SyncFolder
from rootpainter_rootfm.trainer.server import Server

PROJECT_FOLDERS = ("annotations/train", "annotations/val", "segmentations", "models", "messages", "logs")


class World:
    """Everything that window and trainer share.

    Attributes:
        root: The sync folder.
        server: The trainer; None before `start`.
    """

    def __init__(self, root: Path, **permissions):
        self.sync = SyncFolder(root, **permissions)
        self.root = self.sync.root
        self.sync.prepare()
        self.server = None
        self._sent = 0

    def start(self):
        self.server = Server(self.sync)
        self.server.begin()
        return self

    def end(self):
        if self.server is not None:
            self.server.wind_up()

    def images(self, names, size=(64, 96), folder="datasets/d"):
        rng = np.random.default_rng(5)
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            path = self.root / folder / name
            Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(path)

    def project(self, name="p", model=None):
        for folder in PROJECT_FOLDERS:
            (self.root / "projects" / name / folder).mkdir(parents=True)
        if model is not None:
            (self.root / "projects" / name / "models" / f"000001_1{model.suffix}").write_bytes(model.read_bytes())
        return self.root / "projects" / name

    def annotate(self, image, part="train", project="p", size=(64, 96)):
        root, soil = np.zeros((2, *size), bool)
        root[size[0] // 4 : size[0] // 4 + 4, 5:-5] = True
        soil[size[0] // 2 : size[0] // 2 + 12, 5:-5] = True
        masks.write_annotation(
            root, soil, self.root / "projects" / project / "annotations" / part / f"{Path(image).stem}.png"
        )

    def send(self, name, content):
        """Writes an instruction as RootPainter's window does; returns its file name."""
        self._sent += 1
        file = f"{name}_{self._sent}"
        (self.sync.instructions / file).write_text(json.dumps(content, indent=4))
        return file

    def ask_image(self, name, project="p", **more):
        return self.send("segment", self.image_content([name], project) | more)

    def image_content(self, names, project="p"):
        return {
            "dataset_dir": "datasets/d",
            "seg_dir": f"projects/{project}/segmentations",
            "file_names": names,
            "message_dir": f"projects/{project}/messages",
            "model_dir": f"projects/{project}/models",
        }

    def training_content(self, project="p"):
        home = f"projects/{project}"
        return {
            "model_dir": f"{home}/models",
            "dataset_dir": "datasets/d",
            "train_annot_dir": f"{home}/annotations/train",
            "val_annot_dir": f"{home}/annotations/val",
            "seg_dir": f"{home}/segmentations",
            "log_dir": f"{home}/logs",
            "message_dir": f"{home}/messages",
        }

    def turn(self):
        """One look at the instructions, one piece of work."""
        self.server.tick()
        self.server.worker.do_next()

    def until(self, condition, seconds=600):
        """Turns until `condition` holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"it did not come about; messages: {self.messages()}"
            self.turn()
        self.server.tick()

    def settle(self, file, seconds=600):
        """Turns until an instruction was put away; returns where: `executed` or `failed`."""
        places = {"executed": self.sync.executed / file, "failed": self.sync.failed / file}
        self.until(lambda: any(path.exists() for path in places.values()), seconds)
        return next(place for place, path in places.items() if path.exists())

    def reason(self, file):
        return (self.sync.failed / f"{file}_exception.txt").read_text()

    def messages(self, project="p"):
        folder = self.root / "projects" / project / "messages"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def heart(self):
        return json.loads((self.root / "rootfm_trainer.json").read_text())

    def job(self, folder="out"):
        return json.loads((self.root / folder / ".rootfm_job.json").read_text())

    def training(self, project="p"):
        path = self.root / "projects" / project / "logs" / ".rootfm_training.json"
        return json.loads(path.read_text()) if path.exists() else {"epoch": 0, "epochs_without_progress": 0}


def tree(folder):
    """All files under `folder`, hidden ones included, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
