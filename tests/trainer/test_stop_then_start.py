"""Who stops training and starts it again at once gets a training, however long the first takes to end."""

import pytest

STOP = {"message_dir": "projects/p/messages"}


@pytest.fixture
def training(world, model):
    """A training of p, with another project q beside it."""
    world.project(model=model)
    world.project("q", model=model)
    world.images(["a.png"])
    world.start()
    first = world.send("start_training", world.training_content())
    world.turn()
    assert started(world) == first
    return world


@pytest.fixture
def stopping(training):
    """A training that was stopped and has not ended yet."""
    first = started(training)
    training.send("stop_training", STOP)
    training.server.tick()
    assert started(training) == first
    return training


def started(world):
    training = world.server.worker.training
    return training.instruction.file if training is not None else None


@pytest.mark.parametrize("project", ["p", "q"])
def test_the_second_start_begins_when_the_first_training_has_ended(stopping, project):
    file = stopping.send("start_training", stopping.training_content(project))
    stopping.server.tick()
    assert not (stopping.sync.executed / file).exists()
    assert "Training begins when the one that was stopped has ended" in stopping.messages(project)
    stopping.until(lambda: started(stopping) == file, 20)
    assert "Training stopped" in stopping.messages()
    assert not any("already" in text or "Stop that first" in text for text in stopping.messages(project))
    stopping.turn()
    assert stopping.training(project)["state"] == "waiting", "for annotations"


def test_a_third_start_is_answered_as_one_beside_a_running_training(stopping):
    stopping.send("start_training", stopping.training_content())
    stopping.server.tick()
    file = stopping.send("start_training", stopping.training_content("q"))
    stopping.server.tick()
    assert (stopping.sync.executed / file).exists()
    assert any("the project p is being trained" in text for text in stopping.messages("q"))


def test_a_second_stop_ends_what_waits(stopping):
    file = stopping.send("start_training", stopping.training_content("q"))
    stopping.server.tick()
    stopping.send("stop_training", {"message_dir": "projects/q/messages"})
    assert stopping.settle(file, 20) == "executed"
    assert "Training stopped" in stopping.messages("q")
    stopping.turn()
    assert started(stopping) is None


def test_who_stops_in_another_project_stops_nothing_and_hears_what_is_trained(training):
    first = started(training)
    assert training.settle(training.send("stop_training", {"message_dir": "projects/q/messages"}), 20) == "executed"
    assert started(training) == first and not training.server.worker.training.stopping
    assert "Nothing was stopped, for p is being trained" in training.messages("q")
    assert training.heart()["training"] == "p"


def test_what_waits_when_the_trainer_ends_does_not_begin_by_itself_at_its_next_start(stopping):
    file = stopping.send("start_training", stopping.training_content())
    stopping.server.tick()
    stopping.server.wind_up()
    assert (stopping.sync.executed / file).exists()
    stopping.start()
    stopping.turn()
    assert started(stopping) is None
