"""U-Net projects are carried out by RootPainter's own trainer, the real one, in a process of its own."""

import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from rootpainter_rootfm.trainer import unet
from rootpainter_rootfm.trainer.server import Server
from tests.trainer.sync_world import World, tree

SMALL = ("--patchsize=92", "--maxworkers=1", "--maxbatchsize=1")
SECONDS = 900

needs_package = pytest.mark.skipif(not find_spec(unet.PACKAGE), reason="root-painter-trainer is not installed")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A trainer with its child process, shared by the tests, for such a process takes seconds to start."""
    world = World(tmp_path_factory.mktemp("unet") / "sync")
    world.images(["a.png", "b.png", "c.png"], size=(100, 120))
    world.server = Server(world.sync, SMALL)
    world.server.begin()
    yield world
    world.end()


def wait_for(world, condition):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"{world.messages()} {world.heart()}"
        world.turn()
        time.sleep(0.05)


def settle(world, file):
    wait_for(world, lambda: (world.sync.executed / file).exists() or (world.sync.failed / file).exists())
    return "executed" if (world.sync.executed / file).exists() else "failed"


UPSTREAM = """
import sys
sys.path.insert(0, sys.argv[1])
from trainer import Trainer
trainer = Trainer(sys.argv[2], 92, 1, 1)
trainer.segment(trainer.fix_config_paths({
    "dataset_dir": "datasets/d", "seg_dir": "out", "file_names": ["a.png"], "model_paths": ["model.pkl"]}))
"""


@needs_package
def test_a_new_project_gets_its_first_u_net_and_masks_as_from_rootpainters_own_trainer(served, tmp_path):
    project = served.project("fresh")
    assert settle(served, served.send("segment", served.image_content(["a.png"], "fresh"))) == "executed"
    (made,) = tree(project / "models")
    assert made.startswith("000001_") and made.endswith(".pkl")
    assert served.messages("fresh") == ["Network not training"]
    other = World(tmp_path / "upstream")
    other.images(["a.png", "b.png", "c.png"], size=(100, 120))
    (other.root / "out").mkdir()
    (other.root / "model.pkl").write_bytes((project / "models" / made).read_bytes())
    package = find_spec(unet.PACKAGE).submodule_search_locations[0]
    subprocess.run([sys.executable, "-c", UPSTREAM, package, str(other.root)], check=True, stdin=subprocess.DEVNULL)
    assert (project / "segmentations/a.png").read_bytes() == (other.root / "out/a.png").read_bytes()


@needs_package
def test_a_folder_shows_its_progress_and_names_what_failed(served):
    project = served.project("models_of_folder")
    settle(served, served.send("segment", served.image_content(["a.png"], "models_of_folder")))
    (served.root / "datasets/d/broken.png").write_bytes(b"no image")
    (model,) = (project / "models").iterdir()
    content = {
        "model_paths": [model.relative_to(served.root).as_posix()],
        "dataset_dir": "datasets/d",
        "seg_dir": "out",
        "file_names": ["a.png", "broken.png", "b.png"],
        "format": "RhizoVision Explorer (.png)",
        "rootfm": {"job": "u1"},
    }
    assert settle(served, served.send("segment", content)) == "executed"
    job = served.job()
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
    assert [item["file"] for item in job["failed"]] == ["broken.png"] and "broken.png" in job["failed"][0]["cause"]
    assert tree(served.root / "out") == [".rootfm_job.json", "a.png", "b.png"]
    old = (served.root / "out/a.png").stat().st_mtime_ns
    again = content | {"file_names": ["a.png"], "rootfm": {"job": "u2", "again": True}}
    assert settle(served, served.send("segment", again)) == "executed"
    assert (served.root / "out/a.png").stat().st_mtime_ns > old and served.job()["state"] == "done"


@needs_package
def test_training_starts_is_shown_and_stops(served):
    served.project("trained")
    for image, part in (("a.png", "train"), ("b.png", "val")):
        served.annotate(image, part, "trained", size=(100, 120))
    assert settle(served, served.send("start_training", served.training_content("trained"))) == "executed"
    wait_for(served, lambda: "Training started" in served.messages("trained"))
    assert (served.heart()["state"], served.heart()["project"]) == ("training", "trained")
    served.project("other")
    assert settle(served, served.send("start_training", served.training_content("other"))) == "executed"
    assert "the project trained is being trained" in served.messages("other")[0]
    stop = {"message_dir": "projects/trained/messages"}
    assert settle(served, served.send("stop_training", stop)) == "executed"
    wait_for(served, lambda: "Training stopped" in served.messages("trained"))
    assert served.heart()["state"] == "idle"


@needs_package
def test_its_sudden_end_is_said_and_the_next_wish_starts_it_anew(served):
    served.project("unlucky")
    file = served.send("segment", served.image_content(["a.png", "b.png", "c.png"], "unlucky"))
    wait_for(served, lambda: served.server._unet.segmenting is not None)
    served.server._unet._process._process.kill()
    assert settle(served, file) == "failed"
    assert any("ended unexpectedly" in text for text in served.messages("unlucky"))
    assert settle(served, served.send("segment", served.image_content(["c.png"], "unlucky"))) == "executed"
    assert (served.root / "projects/unlucky/segmentations/c.png").exists()


@needs_package
def test_no_process_outlives_the_trainer_that_started_it(tmp_path):
    script = (
        "import os, sys, time\n"
        "from rootpainter_rootfm.trainer.unet_process import UNetProcess\n"
        "child = UNetProcess(['--patchsize=92'])\n"
        "print(child._process.pid, child.folder, flush=True)\n"
        "while not (child.folder / 'ready').exists(): time.sleep(0.1)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=False)
    pid = int(done.stdout.split()[0])
    psutil_free_check = (
        f"import os, time\nfor _ in range(100):\n  os.kill({pid}, 0)\n  time.sleep(0.1)\n"
        if sys.platform != "win32"
        else None
    )
    if psutil_free_check is None:
        pytest.skip("Windows cannot be asked for a process without ending it")
    found = subprocess.run([sys.executable, "-c", psutil_free_check], capture_output=True, text=True, check=False)
    assert "ProcessLookupError" in found.stderr


def test_without_the_package_it_says_what_to_install(world, monkeypatch):
    monkeypatch.setattr(unet, "find_spec", lambda name: None)
    world.images(["a.png"])
    world.project()
    (world.root / "projects/p/models/000001_1.pkl").write_bytes(b"")
    world.start()
    assert world.heart()["unet"] is False
    for content, name in ((world.image_content(["a.png"]), "segment"), (world.training_content(), "start_training")):
        file = world.send(name, content)
        assert world.settle(file) == "failed"
        assert "pip install '.[unet]'" in world.reason(file)
    assert any("pip install '.[unet]'" in text for text in world.messages())
