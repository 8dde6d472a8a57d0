"""One conversion by the engine, in this process, for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmc.convert import engine
from dmc.convert.facts import MediaFacts
from dmc.convert.limits import Limits
from dmc.convert.probe import probe
from dmc.convert.receipt import Receipt, read_receipt
from dmc.files import sha512_of
from dmc.jobs import Job, Report


@dataclass
class Done:
    """A report, its receipt and result, and the progress that was told."""

    report: Report
    out: Path
    told: list[tuple[float, float | None, float | None]] = field(default_factory=list)

    @property
    def result(self) -> Path:
        assert self.report.result is not None, self.report
        return self.out / self.report.result.file_name

    @property
    def receipt(self) -> Receipt:
        return read_receipt(self.out)

    @property
    def facts(self) -> MediaFacts:
        return probe(self.result, Limits())

    def fate(self, kind: str) -> str:
        return next(m.outcome for m in self.receipt.metadata if m.kind.startswith(kind))


def convert(
    source: Path,
    kind: str,
    out: Path,
    *,
    limits: Limits | None = None,
    stop: Callable[[], bool] | None = None,
    sidecars: bool = False,
    previews: bool = False,
    **options: Any,
) -> Done:
    """Convert `source` into the new folder `out`; a result that is larger is kept unless said otherwise."""
    out.mkdir(parents=True)
    takes_size = {"keep_if_larger": True} if "keep_if_larger" not in options else {}
    job = Job(
        item_id="item-1",
        attempt=1,
        original=str(source),
        out_dir=str(out),
        log_file=str(out.parent / "log"),
        label=source.name,
        conversion_type=kind,
        options={**takes_size, **options},
        file_size=source.stat().st_size,
        sha512_checksum=sha512_of(source),
        sidecars=sidecars,
        previews=previews,
    )
    told: list[tuple[float, float | None, float | None]] = []
    report = engine.convert(job, limits or Limits(), lambda *step: told.append(step), stop)
    return Done(report, out, told)
