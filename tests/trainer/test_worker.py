"""What a user waits for comes first; no fault ends the worker."""

import threading
import time

import pytest

from rootpainter_rootfm.errors import Cancelled, ModelError, SettingsError
from rootpainter_rootfm.trainer.instructions import Instruction
from rootpainter_rootfm.trainer.worker import Worker


class Job:
    """Work of some parts that notes when each is done."""

    request = None
    many = False

    def __init__(self, name, log, parts=1, urgent_parts=False, error=None, meanwhile=None):
        self.instruction = Instruction(name, "segment", {})
        self.log, self.parts, self.error, self.meanwhile = log, parts, error, meanwhile
        self.one_at_a_time = urgent_parts
        self.ended = ""

    def run(self, between):
        while self.parts:
            if self.ended:
                raise Cancelled(self.ended)
            self.log.append(self.instruction.file)
            self.parts -= 1
            if self.error:
                raise self.error
            if self.meanwhile:
                self.meanwhile()
            if self.one_at_a_time:
                return self.parts == 0
            between()
        return True

    def cancel(self):
        self.ended = "cancelled"

    def interrupt(self):
        self.ended = "interrupted"


class Course:
    """A training of a number of steps."""

    request = None

    def __init__(self, log, steps=3, error=None):
        self.instruction = Instruction("training", "start_training", {})
        self.log, self.count, self.error, self.stopping = log, steps, error, False

    def steps(self):
        for _ in range(self.count):
            if self.stopping:
                self.log.append("stopped")
                return
            self.log.append("step")
            yield
        if self.error:
            raise self.error

    def stop(self):
        self.stopping = True


def nobody(instruction):
    """Does not want to know what is begun."""


def run_all(worker, parts=50):
    for _ in range(parts):
        worker.do_next()


def outcomes(worker):
    found = []
    while not worker.outcomes.empty():
        outcome = worker.outcomes.get()
        found.append((outcome.instruction.file, outcome.kind))
    return found


def test_urgent_work_is_done_between_the_images_of_a_folder_and_folders_wait_for_each_other():
    worker, log = Worker(nobody), []
    folder = Job("folder", log, parts=3)
    folder.meanwhile = lambda: worker.add(Job("now", log), urgent=True) if folder.parts == 2 else None
    worker.add(folder, urgent=False)
    worker.add(Job("next folder", log), urgent=False)
    run_all(worker)
    assert log == ["folder", "now", "folder", "folder", "next folder"]
    assert outcomes(worker) == [("now", "finished"), ("folder", "finished"), ("next folder", "finished")]


def test_the_image_asked_for_last_comes_first_and_the_others_are_not_forgotten():
    worker, log = Worker(nobody), []
    worker.add(Job("old", log, parts=3, urgent_parts=True), urgent=True)
    worker.do_next()
    worker.add(Job("new", log, parts=2, urgent_parts=True), urgent=True)
    run_all(worker)
    assert log[:2] == ["old", "new"]
    assert sorted(log) == ["new"] * 2 + ["old"] * 3
    assert sorted(outcomes(worker)) == [("new", "finished"), ("old", "finished")]


def long_request(log, parts=4):
    """A project's request for so many images that others must not wait for all of them."""
    job = Job("long", log, parts, urgent_parts=True)
    job.many = True
    return job


def test_a_training_goes_on_between_the_images_of_a_long_request():
    worker, log = Worker(nobody), []
    worker.train(Course(log, steps=9))
    worker.add(long_request(log), urgent=True)
    run_all(worker)
    assert log[:7] == ["long", "long", "step", "long", "step", "long", "step"]
    assert outcomes(worker)[0] == ("long", "finished")


def test_of_a_long_request_only_the_first_image_goes_before_a_folder_and_none_before_the_image_on_the_screen():
    worker, log = Worker(nobody), []
    folder, job = Job("folder", log, parts=2), long_request(log)
    job.meanwhile = lambda: worker.add(Job("now", log), urgent=True) if job.parts == 2 else None
    worker.train(Course(log, steps=1))
    worker.add(folder, urgent=False)
    worker.add(job, urgent=True)
    run_all(worker)
    assert log == ["long", "folder", "folder", "long", "now", "long", "step", "long"]


def test_a_training_that_is_stopped_ends_between_the_images_of_a_folder():
    worker, log = Worker(nobody), []
    course, folder = Course(log), Job("folder", log, parts=3)
    folder.meanwhile = lambda: course.stop() if folder.parts == 2 else None
    worker.train(course)
    worker.do_next()
    worker.add(folder, urgent=False)
    run_all(worker)
    assert log == ["step", "folder", "stopped", "folder", "folder"]
    assert outcomes(worker) == [("training", "finished"), ("folder", "finished")]


def test_it_is_busy_while_there_is_work_that_goes_before_training():
    worker, log = Worker(nobody), []
    job, seen = Job("now", log), []
    job.meanwhile = lambda: seen.append(worker.busy)
    worker.train(Course(log))
    assert not worker.busy
    worker.add(job, urgent=True)
    seen.append(worker.busy)
    worker.do_next()
    assert seen == [True, True] and not worker.busy


def test_work_is_noted_when_it_starts_and_not_when_it_is_queued():
    log = []
    worker = Worker(lambda instruction: log.append(f"begin {instruction.file}"))
    worker.add(Job("a", log), urgent=False)
    worker.add(Job("b", log), urgent=False)
    worker.train(Course(log, steps=1))
    assert log == []
    run_all(worker)
    assert log[:6] == ["begin a", "a", "begin b", "b", "begin training", "step"]


def test_training_goes_on_when_nothing_else_is_to_be_done():
    worker, log = Worker(nobody), []
    worker.train(Course(log))
    worker.do_next()
    worker.add(Job("now", log), urgent=True)
    run_all(worker)
    assert log == ["step", "now", "step", "step"]
    assert worker.training is None
    assert ("training", "finished") in outcomes(worker)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelError("not there yet"), "retry"),
        (OSError(28, "No space left on device"), "retry"),
        (SettingsError("tile"), "failed"),
        (ValueError("a fault of ours"), "failed"),
        (MemoryError(), "failed"),
        (Cancelled("stop"), "finished"),
    ],
)
def test_every_fault_becomes_an_outcome_and_the_next_work_is_done(error, kind):
    worker, log = Worker(nobody), []
    worker.add(Job("bad", log, error=error), urgent=False)
    worker.add(Job("good", log), urgent=False)
    worker.train(Course(log, steps=1, error=error))
    run_all(worker)
    assert outcomes(worker) == [("bad", kind), ("good", "finished"), ("training", kind)]
    assert worker.training is None


def test_cancel_reaches_running_work_and_takes_queued_work_away():
    worker, log = Worker(nobody), []
    running, queued, other = Job("a", log, parts=9), Job("b", log), Job("c", log)
    dropped = []
    running.meanwhile = lambda: dropped.extend(worker.cancel(lambda work: work in (running, queued)))
    for job in (running, queued, other):
        worker.add(job, urgent=False)
    run_all(worker)
    assert dropped == [queued]
    assert log == ["a", "c"]


def test_the_end_interrupts_work_without_an_outcome_and_stops_training_in_good_order():
    worker, log = Worker(nobody), []
    began = threading.Event()

    def slow():
        began.set()
        time.sleep(0.05)

    job = Job("long", log, parts=10_000)
    job.meanwhile = slow
    worker.train(Course(log, steps=10**9))  # more than any machine does before the job comes
    worker.start()
    worker.add(job, urgent=False)
    assert began.wait(5)
    assert worker.end(5)
    assert job.ended == "interrupted"
    assert log[-1] == "stopped"
    assert outcomes(worker) == [("training", "finished")], "the job is gone on with at the next start"
