"""The real trainer with small patches and short epochs, so that a processor trains within a test's time."""

from __future__ import annotations

import sys
from functools import partial

from rootpainter_rootfm.learn.fine_tuning import settings as fine_tune_settings
from rootpainter_rootfm.trainer.main import main

if __name__ == "__main__":
    fine_tune_settings.FineTuneSettings = partial(
        fine_tune_settings.FineTuneSettings, patch=96, batch=4, epoch=16, tile=128, warmup=10, ripe=0
    )
    sys.exit(main())
