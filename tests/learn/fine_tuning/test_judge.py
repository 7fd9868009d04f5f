"""Which model is saved: validation decides, and where it cannot, what was learnt from."""

from types import SimpleNamespace

import pytest

from rootpainter_rootfm.learn.fine_tuning.judge import PROGRESS, TIE, Judge


class Tuner:
    """Models are names here; how each does in validation and on what was learnt from is given."""

    def __init__(self, **scores):
        self.scores, self.asked = scores, []

    def validate(self, network, corrections):
        return self._measure(network, 0)

    def fit(self, network, corrections):
        return self._measure(network, 1)

    def _measure(self, network, place):
        self.asked.append((network, "val" if place == 0 else "train"))
        yield
        return SimpleNamespace(score=self.scores[network][place])


CORRECTIONS = SimpleNamespace(training=("a",), validation=("b",))


def compare(judge, network, corrections=CORRECTIONS):
    steps = judge.compare(network, corrections)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(
    ("validated", "fitted", "better"),
    [
        (0.80 + 3 * TIE, 0.5, True),
        (0.80 - 3 * TIE, 0.9, False),
        (0.80 + TIE / 2, 0.71, True),
        (0.80 - TIE / 2, 0.71, True),
        (0.80 - TIE / 2, 0.70 + PROGRESS / 2, False),
        (0.80 - TIE / 2, 0.70 + PROGRESS * 2, True),
        (0.80 + TIE / 2, 0.69, False),
    ],
)
def test_validation_decides_and_in_a_tie_what_was_learnt_from(validated, fitted, better):
    judge = Judge(Tuner(first=(0.80, 0.70), second=(validated, fitted)), "first")
    verdict = compare(judge, "second")
    assert verdict.better == better
    assert (verdict.best.network, verdict.current.network) == ("first", "second")
    assert verdict.current.validated.score == validated


def test_ties_do_not_lead_far_down():
    """Each is a little worse in validation than the one before, and better on what was learnt from."""
    scores = {f"m{n}": (0.80 - n * 0.8 * TIE, 0.7 + n * 0.05) for n in range(4)}
    judge = Judge(Tuner(**scores), "m0")
    verdict = compare(judge, "m1")
    assert verdict.better
    judge.accept(verdict.current)
    assert not compare(judge, "m2").better and not compare(judge, "m3").better


def test_the_best_is_measured_again_only_where_annotations_changed():
    tuner = Tuner(first=(0.8, 0.7), second=(0.8, 0.6), third=(0.8, 0.9))
    judge = Judge(tuner, "first")
    compare(judge, "second")
    compare(judge, "second")
    assert [ask for ask in tuner.asked if ask[0] == "first"] == [("first", "val"), ("first", "train")]
    tuner.asked.clear()
    more = SimpleNamespace(training=("a", "c"), validation=("b",))
    judge.accept(compare(judge, "third", more).current)
    assert [ask for ask in tuner.asked if ask[0] == "first"] == [("first", "train")]
    tuner.asked.clear()
    compare(judge, "second", SimpleNamespace(training=("a", "c"), validation=("b", "d")))
    assert ("third", "val") in tuner.asked and ("first", "val") not in tuner.asked


def test_where_validation_is_clear_nothing_else_is_measured():
    tuner = Tuner(first=(0.8, 0.7), second=(0.9, 0.0))
    assert compare(Judge(tuner, "first"), "second").better
    assert not any(part == "train" for _, part in tuner.asked)


def test_models_are_compared_on_the_same_images_also_where_one_cannot_be_read_any_more():
    tuner = Tuner(first=(0.8, 0.7), second=(0.9, 0.7))
    corrections = SimpleNamespace(training=("a",), validation=("easy", "hard"))
    measure = tuner.validate

    def validate(network, corrections):
        if network == "second":
            corrections.validation = ("easy",)
        tuner.scores["first"] = (0.95 if corrections.validation == ("easy",) else 0.8, 0.7)
        return measure(network, corrections)

    tuner.validate = validate
    assert not compare(Judge(tuner, "first"), "second", corrections).better
