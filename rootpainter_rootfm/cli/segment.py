"""The verb `rootfm segment`: a folder of photographs becomes a folder of masks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..segment.engine import Segmenter
    from ..segment.folder import FolderJob

REPORT = "rootfm_report.csv"
MANIFEST = "rootfm_manifest.json"
PREVIEW = Path("rootfm_preview", "overlays.png")  # in a folder of its own: RootPainter would take it for a mask

_FORMATS = ("rootpainter", "rhizovision", "npz")
_TILES_WORTH_COUNTING = 20  # of one image; below it the bar of images moves often enough


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm segment` and its options."""
    parser = verbs.add_parser(
        "segment",
        help="make root masks for a folder of photographs",
        description="Makes a root mask for every photograph in a folder. Run again, it goes on where it stopped: "
        "masks made from the same photograph with the same model and settings are kept.",
        epilog="Exit code: 0 all images have masks, 1 some failed, 2 wrong input, 130 interrupted.",
    )
    parser.add_argument("images", metavar="IN", type=Path, help="folder of photographs, or one photograph")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the masks; made if it is not there")
    add_model_option(parser)
    _add_output_options(parser.add_argument_group("what is written"))
    _add_reading_options(parser.add_argument_group("how photographs are read"))
    add_settings_options(parser.add_argument_group("how they are segmented"))
    parser.set_defaults(run=run)


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Adds `-m`, which may be given several times."""
    parser.add_argument(
        "-m",
        "--model",
        action="append",
        metavar="MODEL",
        help="name of a model (see `rootfm models list`), or a .pth or .safetensors file; the bundled model if left "
        "out; given several times, the mean of the models' probabilities counts",
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format", choices=_FORMATS, default=_FORMATS[0], help="RootPainter's PNG, RhizoVision Explorer's PNG, or npz"
    )
    group.add_argument("--probability", action="store_true", help="also write root probabilities as 16-bit TIFF")
    group.add_argument("--preview", action="store_true", help="also write a sheet of overlays to look at")
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="make all masks anew, also where somebody else's mask is in the way; to go on after a stop, leave it out",
    )


def _add_reading_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--page", type=_from(0), default=0, metavar="N", help="page of a multi-page TIFF, from 0")
    group.add_argument(
        "--stretch", action="store_true", help="stretch the contrast of 8-bit images too, as is done with deeper ones"
    )
    group.add_argument("--max-pixels", type=_from(1), metavar="N", help="refuse larger images (1000000000)")


def add_settings_options(group: argparse._ArgumentGroup) -> None:
    """Adds an option for every field of `SegmentSettings`; those left out are None."""
    group.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps (auto)")
    group.add_argument("--threshold", type=float, metavar="P", help="root is what has at least this probability")
    group.add_argument("--min-root-pixels", type=int, metavar="N", help="leave out root areas of fewer pixels (0)")
    group.add_argument("--scale", type=float, metavar="X", help="enlarge images first; 2 finds finer roots (1)")
    group.add_argument(
        "--flips", action="store_true", default=None, help="average over four mirror images: steadier, but 4× the work"
    )
    group.add_argument(
        "--no-edges",
        dest="edges",
        action="store_false",
        default=None,
        help="leave borders of roots where the network puts them, in steps of four pixels",
    )
    group.add_argument(
        "--no-balance",
        dest="balance",
        action="store_false",
        default=None,
        help="leave an uncommon colour, such as that of blue paper, in the image",
    )
    group.add_argument(
        "--no-glance",
        dest="glance",
        action="store_false",
        default=None,
        help="do not look at large images reduced as well, for roots wider than about sixty pixels",
    )
    group.add_argument(
        "--no-second-look",
        dest="second_look",
        action="store_false",
        default=None,
        help="do not look at an image in other sizes as well where its roots are thin or the model is not sure",
    )
    group.add_argument(
        "--tile", type=int, metavar="PIXELS", help="side of the tiles, a multiple of 32 (fits the image)"
    )
    group.add_argument("--overlap", type=float, metavar="SHARE", help="least overlap of tiles, 0 to 0.5 of their side")
    group.add_argument("--padding", metavar="KIND", help="around small images: reflect, black or mean (by model)")
    group.add_argument("--batch", type=int, metavar="N", help="tiles computed at once (as many as the device bears)")
    group.add_argument("--precision", metavar="P", help="auto, fp32, or on CUDA bf16 or fp16 (auto)")


def run(options: argparse.Namespace) -> int:
    """Segments the folder; returns 0 when all images have masks, 1 when some failed."""
    from ..masks import MaskFormat
    from ..segment.folder import FolderJob

    images = _images(options.images, options.out)
    segmenter = load_segmenter(options)
    reading: dict[str, Any] = {"page": options.page, "stretch": options.stretch}
    if options.max_pixels is not None:
        reading["max_pixels"] = options.max_pixels
    job = FolderJob(
        images,
        options.out,
        segmenter,
        mask_format=MaskFormat[options.format.upper()],
        overwrite=options.overwrite,
        probability=options.probability,
        preview=options.out / PREVIEW if options.preview else None,
        **reading,
    )
    run_job(job)
    _tell(job)
    return 1 if job.report.failed else 0


def load_segmenter(options: argparse.Namespace) -> Segmenter:
    """The models and settings that the options name; says so when a model was never trained."""
    from ..model.library import DEFAULT_MODEL
    from ..segment.engine import Segmenter
    from ..segment.settings import SegmentSettings
    from .models import download_bar

    given = {name: getattr(options, name, None) for name in SegmentSettings().to_dict()}
    settings = SegmentSettings.from_dict({name: value for name, value in given.items() if value is not None})
    with download_bar() as progress:
        segmenter = Segmenter.load(*(options.model or [DEFAULT_MODEL]), settings=settings, progress=progress)
    for card in segmenter.cards:
        if not card.trained:
            _say(f"Note: the model {card.name} has not been trained. Its masks show no roots.")
    return segmenter


def run_job(job: FolderJob) -> None:
    """Runs a job with a bar on standard error; writes report and manifest however it ends."""
    job.check()
    started = datetime.now(UTC)
    try:
        _with_bar(job)
    finally:
        _write_record(job, started, stopped=sys.exception() is not None)


def _write_record(job: FolderJob, started: datetime, stopped: bool) -> None:
    """Writes report and manifest; that they cannot be written matters less than what stopped the run."""
    from ..errors import MaskError
    from ..segment import manifest

    if not os.path.isdir(job.out):  # `Path.is_dir` raises where a share has dropped
        return
    refused = None
    # The manifest first: no later run could make up for it.
    for name, write in (
        (MANIFEST, lambda path: manifest.write(path, job, started, datetime.now(UTC))),
        (REPORT, job.report.write_csv),
    ):
        try:
            write(job.out / name)
        except OSError as error:
            refused = refused or MaskError(
                f"{job.out / name} cannot be written: {error.strerror or error}. Close it where it is open, then run "
                "the same command again; the masks are there."
            )
    if refused and not stopped:
        raise refused


def _with_bar(job: FolderJob) -> None:
    from tqdm import tqdm

    with tqdm(total=len(job.images), unit="image", dynamic_ncols=True, file=sys.stderr) as bar:

        def show(done: int, total: int, current: str) -> None:
            bar.set_postfix_str(current, refresh=False)
            bar.update(done - bar.n) if done > bar.n else bar.refresh()

        def show_tiles(done: int, total: int, current: str) -> None:
            if total >= _TILES_WORTH_COUNTING:
                bar.set_description_str(f"tile {done}/{total}" if done < total else "")

        job.run(show, tiles=show_tiles)


def _from(least: int) -> Callable[[str], int]:
    """What makes a whole number of at least `least` out of an argument."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least}")
        return int(text)

    return number


def _images(path: Path, out: Path) -> list[Path]:
    from ..errors import DataError
    from ..images import left_alone, list_images

    if path.is_dir():
        images = list_images(path)
        others = left_alone(path, images, out)
        if not images:
            raise DataError(f"The folder {path} holds no PNG, JPEG, TIFF or BMP images. {others}".rstrip())
        if others:
            _say(f"Note: {others}")
        return images
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.")
    return [path]


def _tell(job: FolderJob) -> None:
    """Says on standard output what came of it, and on standard error what went wrong."""
    from ..segment.report import Status

    made, skipped, failed = (job.report.having(status) for status in (Status.MADE, Status.SKIPPED, Status.FAILED))
    counts = f"{_count(made, 'mask')} made, {len(skipped)} kept from an earlier run, {_count(failed, 'image')} failed"
    print(f"{job.out}: {counts}.")
    print(f"Figures of every image: {job.out / REPORT}")
    if job.preview:
        print(f"Overlays to look at: {job.preview}")
    for result in [*made, *skipped, *failed]:
        if result.cause:
            _say(f"{'Failed' if result in failed else 'Note'}: {result.image.name}: {result.cause}")


def _count(things: Sequence, name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
