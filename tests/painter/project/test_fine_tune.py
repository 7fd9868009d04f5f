"""The training panel: numbers and sentences from the trainer's file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.exchange import Heartbeat, TrainingState
from rootpainter_rootfm.painter.preferences import Preferences
from rootpainter_rootfm.painter.project.fine_tune import sentence
from rootpainter_rootfm.painter.trainer_life import Life
from tests.painter.drawn import click, pick, ready

RUNNING = {
    "state": "running",
    "started": 1000.0,
    "epoch": 3,
    "epochs_without_progress": 1,
    "patience": 5,
    "best_dice": 0.81,
    "history": [
        {"time": 1060.0, "epoch": 1, "dice": 0.7, "best": 0.7, "loss": 1.0},
        {"time": 1120.0, "epoch": 2, "dice": 0.81, "best": 0.81, "loss": 0.9},
        {"time": 1180.0, "epoch": 3, "dice": None, "best": 0.81, "loss": 0.9},
    ],
    "saved": None,
    "message": "",
}


@pytest.fixture
def window(launcher, library, plugin, project, qtbot):
    """A trainer of ours answers."""
    window = launcher.open(project)
    judge(plugin, Life.ALIVE)
    return ready(qtbot, window)


def judge(plugin, life):
    trainer = plugin.session.trainer
    trainer._poll.stop()
    trainer.life = life
    trainer.changed.emit()


def tell(project, **changes):
    (project.parent / "logs" / exchange.TRAINING).write_text(json.dumps(RUNNING | changes))


def test_panel_shows_numbers_and_the_curve_in_minutes(window, project, qtbot):
    pick(qtbot, window, "Network", "Training progress")
    panel = window.rootfm_project.training
    tell(project)
    qtbot.waitUntil(lambda: panel.best.text() == "0.810", timeout=10_000)
    assert panel.headline.text() == "<b>Training</b>" and panel.last.text() == "–"
    assert panel.patience.text() == "Patience: 4 more checks"
    minutes, dice = panel._dice.getData()
    assert list(minutes) == [1, 2, 3] and list(dice[:2]) == [0.7, 0.81] and dice[2] != dice[2]
    assert not panel.start_button.isEnabled() and panel.stop_button.isEnabled()


def test_panel_shows_how_far_it_is_until_the_first_check(window, project, qtbot):
    pick(qtbot, window, "Network", "Training progress")
    panel = window.rootfm_project.training
    tell(project, ripeness=0.4, history=[], best_dice=None, epochs_without_progress=0)
    qtbot.waitUntil(lambda: panel.patience.text() == "First check: 40%", timeout=10_000)
    assert panel.patience.value() == 40 and panel.best.text() == panel.last.text() == "–"
    tell(project)
    qtbot.waitUntil(lambda: panel.patience.text() == "Patience: 4 more checks", timeout=10_000)


def test_nothing_is_cut_off_beside_the_list_of_images(window, project, qtbot):
    window.resize(1000, 720)
    pick(qtbot, window, "View", "Images by uncertainty")
    pick(qtbot, window, "Network", "Training progress")
    panel = window.rootfm_project.training
    qtbot.waitUntil(lambda: not panel.headline.visibleRegion().isEmpty(), timeout=10_000)
    tell(project, ripeness=0.4, history=[], best_dice=None, epochs_without_progress=0)
    qtbot.waitUntil(lambda: "40%" in panel.patience.text(), timeout=10_000)
    qtbot.wait(100)
    words = panel.patience.fontMetrics().horizontalAdvance(panel.patience.text())
    assert words < panel.patience.width() and panel.plot.geometry().bottom() < panel.best.geometry().top()


def test_start_of_training_brings_its_panel_to_the_front(window, plugin, project, qtbot):
    (project.parent / "models" / "000001_1.pth").write_bytes(b"x")
    panel = window.rootfm_project.training
    panel.show()
    pick(qtbot, window, "View", "Images by uncertainty")
    qtbot.waitUntil(lambda: panel.headline.visibleRegion().isEmpty(), timeout=10_000)
    plugin.session.training_asked.emit(window)
    qtbot.waitUntil(lambda: not panel.headline.visibleRegion().isEmpty(), timeout=10_000)


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_stop_is_sent(window, project, sync, qtbot, state):
    pick(qtbot, window, "Network", "Training progress")
    panel = window.rootfm_project.training
    tell(project, state=state)
    qtbot.waitUntil(panel.stop_button.isEnabled, timeout=10_000)
    click(qtbot, panel.stop_button)
    assert any(path.name.startswith("stop_training_") for path in (sync / "instructions").iterdir())


def test_better_model_is_announced_once_and_not_for_an_old_training(window, project, qtbot):
    panel = window.rootfm_project.training
    heard = []
    panel.better_model.connect(heard.append)
    tell(project)
    qtbot.waitUntil(lambda: panel.best.text() == "0.810", timeout=10_000)
    tell(project, saved="000002_1700000500.pth")
    qtbot.waitUntil(lambda: heard == ["000002_1700000500.pth"], timeout=10_000)
    tell(project, saved="000002_1700000500.pth", state="finished")
    qtbot.waitUntil(lambda: "finished" in panel.headline.text(), timeout=10_000)
    assert len(heard) == 1 and panel.start_button.isEnabled()


def test_masks_can_be_made_again_by_what_an_earlier_training_saved(window, project, qtbot):
    panel = window.rootfm_project.training
    (project.parent / "models" / "000001_1700000000.pth").write_bytes(b"x")
    tell(project, state="finished")
    qtbot.waitUntil(lambda: panel.best.text() == "0.810", timeout=10_000)
    assert not panel.again_button.isEnabled() and panel.saved.text() == "as it began"
    (project.parent / "models" / "000002_1700000500.pth").write_bytes(b"x")
    qtbot.waitUntil(panel.again_button.isEnabled, timeout=10_000)
    assert panel.saved.text().startswith("000002, ")


def test_panel_says_of_a_u_net_whether_it_is_trained_and_stops_it(window, plugin, project, sync, qtbot):
    panel, trainer = window.rootfm_project.training, plugin.session.trainer
    (project.parent / "models" / "000001_1700000000.pkl").write_bytes(b"x")
    tell(project)  # of a foundation model that was here before
    qtbot.waitUntil(lambda: "own U-Nets" in panel.sentence.text(), timeout=10_000)
    assert panel.best.text() == "–" and panel.start_button.isEnabled()
    beat = Heartbeat(1, "lab", 1, "segmenting", "cpu", project="barley")
    for project_trained, running in (("barley", True), ("oats", False)):
        trainer._see(replace(beat, beat=trainer.heartbeat.beat + 1 if trainer.heartbeat else 1))
        trainer._see(replace(beat, beat=trainer.heartbeat.beat + 1, training=project_trained))
        assert ("Stop ends it" in panel.sentence.text()) is running is panel.stop_button.isEnabled()
        assert panel.start_button.isEnabled() is not running
    judge(plugin, Life.SILENT)
    assert panel.start_button.isEnabled() and panel.stop_button.isEnabled()


def test_training_whose_trainer_is_gone_says_so_and_can_be_started(window, plugin, project, qtbot):
    panel = window.rootfm_project.training
    tell(project)
    qtbot.waitUntil(lambda: "4 more checks" in panel.patience.text(), timeout=10_000)
    judge(plugin, Life.SILENT)
    assert panel.headline.text() == "<b>No trainer answers</b>" and "Models → Trainer…" in panel.sentence.text()
    assert panel.patience.text() == "–" and panel.start_button.isEnabled()
    judge(plugin, Life.ALIVE)
    assert panel.headline.text() == "<b>Training</b>" and not panel.start_button.isEnabled()


@pytest.fixture
def become_better(window, project, sync, qtbot):
    """Saves a better model and gives what the window says then."""

    def save(name):
        panel = window.rootfm_project.training
        tell(project)
        qtbot.waitUntil(lambda: panel.best.text() == "0.810", timeout=10_000)
        for path in (sync / "instructions").iterdir():
            path.unlink()
        (project.parent / "models" / name).write_bytes(b"x")
        tell(project, saved=name, state="finished")
        qtbot.waitUntil(lambda: "better model" in window.statusBar().currentMessage(), timeout=10_000)
        return window.statusBar().currentMessage()

    return save


def test_better_model_is_named_but_not_asked_where_an_older_one_was_chosen(window, become_better, project, sync):
    (project.parent / "models" / "000001_1700000000.pth").write_bytes(b"x")
    Preferences().set_project_model(project.parent, "checkpoint:000001_1700000000.pth")
    message = become_better("000002_1700000500.pth")
    assert "(000002, 1" in message and "Choose it in Models to use it: 000001, 1" in message
    panel = window.rootfm_project.training
    assert "000001, 1" in panel.sentence.text() and "from now on" not in panel.sentence.text()
    assert not list((sync / "instructions").iterdir())


def test_choice_of_the_newest_model_is_told_in_the_panel_at_once(window, become_better, library, project, qtbot):
    Preferences().set_project_model(project.parent, f"library:{library.other.name}")
    assert f"{library.other.title} makes the masks" in become_better("000002_1700000500.pth")
    panel = window.rootfm_project.training
    pick(qtbot, window, "Models", "Newest of this project")
    assert "makes the masks from now on" in panel.sentence.text()


@pytest.mark.parametrize("saved", [True, False])
def test_better_model_leaves_the_mask_of_an_annotated_image(window, become_better, project, sync, saved):
    if saved:
        (project.parent / "annotations" / "train" / "one.png").write_bytes(b"")
    else:
        window.scene.history.append(window.scene.annot_pixmap.copy())  # as after a stroke
    assert "annotated and keeps its mask; R makes a new one" in become_better("000002_1700000500.pth")
    assert not list((sync / "instructions").iterdir())


def test_better_model_is_named_in_full_and_makes_the_mask_on_the_screen(window, become_better, project, sync):
    message = become_better("roots_lab_000001_1700000500.pth")
    panel = window.rootfm_project.training
    assert "(roots_lab_000001, 1" in message and "Asked for a new mask of this image" in message
    assert panel.saved.text().startswith("roots_lab_000001, 1")
    (sent,) = (sync / "instructions").iterdir()
    content = exchange.read_json(sent)
    assert content["file_names"] == ["one.png"] and content["rootfm"]["again"] is True
    assert (project.parent / "segmentations" / "one.png").exists()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (TrainingState("running", ripeness=0.4), "The first check comes"),
        (TrainingState("running", ripeness=0.4, history=({},), without_progress=1), "The first check comes"),
        (TrainingState("waiting"), "paint what the mask got wrong"),
        (TrainingState("waiting", "Training waits for annotations"), "paint what the mask got wrong"),
        (TrainingState("waiting", "Training begins when the masks are made"), "begins when the masks are made."),
        (TrainingState("running", history=({"dice": 0.6, "best": 0.6},), without_progress=0), "best so far"),
        (
            TrainingState("running", history=({"dice": 0.8, "best": 0.8}, {"dice": 0.79, "best": 0.79})),
            "Its number is lower because",
        ),
        (TrainingState("running", history=({"dice": 0.5, "best": 0.6},), without_progress=0), "New annotations came"),
        (TrainingState("running", history=({},), without_progress=1, patience=9), "No gain in the last check."),
        (TrainingState("running", history=({},), without_progress=2, patience=9), "9 checks without a gain"),
        (TrainingState("finished", saved="000002_1.pth"), "A better model was saved"),
        (TrainingState("finished"), "Annotate more images"),
        (TrainingState("stopped"), "Start again whenever you like"),
        (TrainingState("stopped", ripeness=0.4), "what it had learnt is not kept"),
        (TrainingState("failed", message="The disk is full."), "The disk is full."),
        (TrainingState("failed"), "Trainer"),
    ],
)
def test_sentences_are_for_people_who_never_trained_a_network(state, expected):
    assert expected in sentence(state)
