"""What a run was made with: enough to make it again, and to say so in a paper."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__, versions
from ..files import write_text
from .report import Status

if TYPE_CHECKING:
    from .folder import FolderJob

_PACKAGES: Final = (
    *("torch", "numpy", "scipy", "scikit-image", "pillow", "tifffile", "imagecodecs", "safetensors"),
    "openvino",  # computes in torch's place where it is installed
)
_EARLIER: Final = "earlier_runs"


def write(path: Path, job: FolderJob, started: datetime, ended: datetime) -> None:
    """Writes the manifest of one run, finished or stopped, as JSON in one step; the runs before it stay in it.

    A run that made no mask leaves the manifest of those that made them as it is.

    Args:
        path: where to.
        job: the run; its report says how far it came.
        started: with time zone.
        ended: with time zone.
    """
    segmenter, earlier = job.segmenter, _read(path)
    if earlier is not None and not job.report.having(Status.MADE):
        return
    manifest: dict[str, Any] = {
        "rootfm": __version__,
        "started": started.isoformat(timespec="seconds"),
        "ended": ended.isoformat(timespec="seconds"),
        "images": {
            "folders": sorted({str(image.parent.absolute()) for image in job.images}),
            **{status.value: len(job.report.having(status)) for status in Status},
        },
        "models": segmenter.models,
        "settings": segmenter.settings.to_dict(),
        "masks_are_decided_by": job.how,
        "device": segmenter.device,
        "versions": {name: known for name, known in versions.describe(_PACKAGES).items() if known is not None},
    }
    if earlier is not None:
        manifest[_EARLIER] = [*earlier.pop(_EARLIER, []), earlier]
    write_text(path, json.dumps(manifest, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any] | None:
    """An earlier manifest; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
