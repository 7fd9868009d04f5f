"""Window and trainer know each other only through files, so both sides must call these by the same names."""

import pytest

from rootpainter_rootfm.painter import exchange, trainer_life
from rootpainter_rootfm.segment.folder import CONFIDENCE_FOLDER
from rootpainter_rootfm.trainer import heartbeat, instructions, jobs, paths, segmenting, training_file


@pytest.mark.parametrize(
    ("window", "trainer"),
    [
        (exchange.HEARTBEAT, heartbeat.FILE),
        (exchange.JOB, jobs.FILE),
        (exchange.TRAINING, training_file.STATE),
        (exchange.MODELS, paths.SHARED_MODELS),
        (exchange.TAKEN, instructions._TAKEN),
        (exchange.CONFIDENCE, CONFIDENCE_FOLDER),
        (exchange.CONFIDENCE, segmenting.HIDDEN),
    ],
)
def test_window_and_trainer_mean_the_same_file(window, trainer):
    assert window == trainer


def test_the_window_gives_a_trainer_as_long_to_show_that_it_lives_as_another_trainer_does():
    assert trainer_life.SILENT_AFTER == heartbeat.SECONDS_TO_PROVE_LIFE
    assert trainer_life.SILENT_ELSEWHERE_AFTER == heartbeat.SECONDS_FROM_ELSEWHERE
