"""Which of two models is better, as far as a few corrected images can tell."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from ...model.network import MobileSAM
from .corrected import Correction
from .corrections import Corrections
from .fine_tune import FineTuner
from .measuring import Measured

TIE = 0.004
"""Models whose validation scores differ by no more are equally good there: one other image would tell otherwise."""
PROGRESS = 0.001
"""What a better model gains, then, on the annotations that are learnt from: less is not worth a file on the disk."""


@dataclass(frozen=True)
class Standing:
    """A model and how it did.

    Attributes:
        network: the model.
        validated: on the validation annotations.
        fitted: on the annotations that are learnt from; None while nobody had to know.
    """

    network: MobileSAM
    validated: Measured
    fitted: Measured | None = None


@dataclass(frozen=True)
class Verdict:
    """A model beside the best one before it, and whether it is better."""

    current: Standing
    best: Standing
    better: bool


class Judge:
    """Compares models with the best one so far, on the annotations of the moment.

    The validation annotations decide. Where they cannot, those that were learnt from do: of models that tie in
    validation the one that does what was asked for is wanted.
    """

    def __init__(self, tuner: FineTuner, first: MobileSAM) -> None:
        self._tuner = tuner
        self._network = first
        self._best: Standing | None = None
        self._highest = 0.0
        self._training: tuple[Correction, ...] = ()
        self._validation: tuple[Correction, ...] = ()

    def compare(self, network: MobileSAM, corrections: Corrections) -> Generator[None, None, Verdict]:
        """Measures `network`, and the best one again where annotations are new or changed; yields often."""
        while True:
            best = yield from self._standing(corrections)
            current = Standing(network, (yield from self._tuner.validate(network, corrections)))
            if corrections.validation == self._validation:
                break  # both were measured on the same images: none could not be read any more in between
        # Not against the best one's own score: one tie after the other would lead far down.
        gain = current.validated.score - self._highest
        if abs(gain) > TIE:
            return Verdict(current, best, gain > 0)
        current, best = (yield from self._fitted(current, corrections)), (yield from self._fitted(best, corrections))
        self._best = best
        assert current.fitted is not None and best.fitted is not None
        return Verdict(current, best, current.fitted.score > best.fitted.score + PROGRESS)

    def accept(self, standing: Standing) -> None:
        """From now on this is the best one."""
        self._network, self._best = standing.network, standing
        self._highest = max(self._highest, standing.validated.score)

    def _standing(self, corrections: Corrections) -> Generator[None, None, Standing]:
        if self._best is None or corrections.validation != self._validation:
            self._best = Standing(self._network, (yield from self._tuner.validate(self._network, corrections)))
            self._highest = self._best.validated.score
        elif corrections.training != self._training:
            self._best = replace(self._best, fitted=None)
        self._training, self._validation = corrections.training, corrections.validation
        return self._best

    def _fitted(self, standing: Standing, corrections: Corrections) -> Generator[None, None, Standing]:
        if standing.fitted is not None:
            return standing
        return replace(standing, fitted=(yield from self._tuner.fit(standing.network, corrections)))
