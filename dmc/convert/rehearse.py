"""One small picture of our own, converted in the warm process before any worker is forked from it.

Python adapts its code to what passes through it in the first runs, libraries look at the processor and fill their tables, and each page
that this writes would be copied in every worker anew: about 5 ms of the processor for each picture, measured. No file of anybody is
looked at, and nothing stays: no file, no thread, no setting of the heap.
"""

import contextlib
import tempfile
from pathlib import Path

from PIL import Image

from dmc.convert import pictures
from dmc.convert.gallery import Gallery
from dmc.convert.limits import Limits
from dmc.convert.previews import leave_products
from dmc.convert.probe import probe
from dmc.convert.receipt import write_receipt
from dmc.errors import DmcError
from dmc.jobs import Job


def rehearse() -> None:
    """Convert a picture in a temporary folder; where there is none, or no room in it, nothing happens."""
    with contextlib.suppress(OSError, DmcError), tempfile.TemporaryDirectory(prefix=".dmc-") as folder:
        _convert(Path(folder))


def _convert(folder: Path) -> None:
    original, out = folder / "original.png", folder / "out"
    out.mkdir()
    Image.radial_gradient("L").resize((120, 80)).convert("RGB").save(original)  # Small: no buffer of it leaves the heap another one.
    job = Job(
        item_id="rehearsal",
        attempt=1,
        original=str(original),
        out_dir=str(out),
        log_file=str(folder / "log.txt"),
        label=original.name,
        conversion_type="webp",
        options={},
        file_size=original.stat().st_size,
        sha512_checksum="0" * 128,
        previews=True,
    )
    limits, gallery = Limits(encoder_threads=1), Gallery()
    facts = probe(original, limits, job.label)
    result, receipt = pictures.convert(job, limits, _unheard, gallery.picture)
    write_receipt(out, receipt)
    leave_products(out, gallery, out / result.file_name, facts, facts, limits)


def _unheard(_fraction: float, _speed: float | None, _eta_s: float | None) -> None:
    """Nobody waits for this."""
