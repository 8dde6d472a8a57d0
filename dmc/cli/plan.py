"""`dmc plan`: what would be done with files and whole folders, why, and what would be gained; touches nothing."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.options import End, FilesFrom, Null, Options, Start, To, Workers, named_files, parse_options
from dmc.cli.render import Json, Screen, bytes_text, clean, screen_of, time_text

if TYPE_CHECKING:
    from dmc.convert.forecast import Forecast, Wanted

Paths = Annotated[list[Path] | None, typer.Argument(help="Files, or folders with all that is in them.", show_default=False)]
Samples = Annotated[bool, typer.Option("--samples/--no-samples", help="Encode short pieces to tell sizes and times.")]


def register(app: typer.Typer) -> None:
    """Add the command of this file to the front door."""
    app.command()(plan)


def plan(
    context: typer.Context,
    files: Paths = None,
    to: To = None,
    options: Options = None,
    start: Start = None,
    end: End = None,
    files_from: FilesFrom = None,
    null: Null = False,
    samples: Samples = True,
    workers: Workers = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what becomes of every stream, and how sure sizes are.")] = False,
    as_json: Json = False,
) -> None:
    """Say what would be done, why, and what would be gained; touches nothing. Example: dmc plan ~/Videos --to h265"""
    screen = screen_of(context)
    screen = replace(screen, verbose=1) if verbose and not screen.verbose else screen
    named = named_files(files, files_from, null=null)
    missing = [path for path in named if not (path.is_file() or path.is_dir())]
    for path in missing:
        screen.say(f"error: {path} is no plain file" if path.exists() else f"error: there is no file {path}")
    found = [file for path in named if path not in missing for file in _files_in(screen, path, to)]
    show_plans(screen, list(dict.fromkeys(found)), to, parse_options(options, start, end), workers, as_json, samples=samples)
    raise typer.Exit(5 if missing else 0)


def _files_in(screen: Screen, path: Path, to: str | None) -> list[Path]:
    """`path` itself, or all media of a folder that the conversion type can be made from."""
    if not path.is_dir():
        return [path]
    from dmc.assemble.local import known_type
    from dmc.conversions import guess_media_type

    takes = known_type(to, {}).takes if to else None
    media = [(file, medium) for file in _walk(path) if (medium := guess_media_type(file.name)) is not None]
    fitting = [file for file, medium in media if takes is None or medium in takes]
    if len(fitting) < len(media):
        screen.say(f"{clean(str(path))}: {len(media) - len(fitting)} files are of another medium than {to} is made from, and left out.")
    return fitting


def _walk(folder: Path) -> Iterator[Path]:
    """All files below `folder`, in order; nothing hidden, and no links, which may lead anywhere."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(here, name)
            if not name.startswith(".") and not file.is_symlink():
                yield file


def show_plans(
    screen: Screen, files: list[Path], to: str | None, options: dict[str, Any], workers: int, as_json: bool, *, samples: bool
) -> None:
    """Look at the files and show the plans for them, the largest gain first."""
    from dmc.assemble.local import conversions_at_once, forecasts, known_type

    if to is not None:
        known_type(to, options)
    wanted, refused = _wanted(files, to, options)
    with screen.bars() as bars:
        task = bars.add_task("looking" if not samples else "trying short pieces", total=1.0)
        found = forecasts(wanted, workers, lambda share: bars.update(task, completed=share), samples=samples)
    found = sorted([*refused, *found], key=_rank)
    total = _total(found, conversions_at_once(workers))
    if as_json:
        screen.document("plan", {"files": [_document(one) for one in found], "total": total})
        return
    drawn = sys.stdout.isatty()
    headings = ["SAVES", "NOW", "THEN", "TIME", "DECISION", "FILE"]
    base = os.path.commonpath([one.wanted.path.parent for one in found]) if drawn and len(found) > 1 else ""
    rows = [[*_row(one), os.path.relpath(one.wanted.path, base)] if base else [*_row(one), str(one.wanted.path)] for one in found]
    if base:
        screen.say(f"in {clean(base)}:")
    if not drawn:
        rows = [[*row, one.estimate.reason] for row, one in zip(rows, found, strict=True)]
    screen.table(headings, rows, {n: _notes(one, screen.verbose, drawn) for n, one in enumerate(found)})
    screen.data(_total_line(total))


def _wanted(files: list[Path], to: str | None, options: dict[str, Any]) -> "tuple[list[Wanted], list[Forecast]]":
    """What to look at, and what nothing can be said of: no medium, or not to be read."""
    from dmc.assemble.local import conversion_for
    from dmc.conversions import MediaType, guess_media_type
    from dmc.convert.estimate import Estimate
    from dmc.convert.forecast import Forecast, Wanted
    from dmc.errors import DmcError

    wanted: list[Wanted] = []
    refused: list[Forecast] = []
    for file in files:
        size = 0
        try:
            size = file.stat().st_size
            picture = guess_media_type(file.name) is MediaType.IMAGE
            wanted.append(Wanted(file, size, to or conversion_for(file), options, picture))
        except (DmcError, OSError) as problem:
            said = problem.message if isinstance(problem, DmcError) else f"it cannot be read: {problem.strerror}"
            refused.append(Forecast(Wanted(file, size, to or "", options), Estimate(outcome="refuse", reason=said)))
    return wanted, refused


def _rank(one: "Forecast") -> tuple[int, int, str]:
    """The largest gain first, then what nobody measured by size, then what stays as it is."""
    gain, name = one.gain, str(one.wanted.path)
    if one.estimate.outcome != "convert":
        return 2, -one.wanted.file_size, name
    return (1, -one.wanted.file_size, name) if gain is None else (0, -gain, name)


# --- For people --------------------------------------------------------------------------------------------------------


def _row(one: "Forecast") -> list[str]:
    made, expected, converts = one.estimate, one.estimate.expected, one.estimate.outcome == "convert"
    about = "" if expected is not None and expected.basis == "encoded" else "~"
    gain = one.gain
    return [
        f"{about}{_signed(gain)}" if converts and gain is not None else "-",
        bytes_text(one.wanted.file_size),
        f"{about}{bytes_text(expected.size)}" if converts and expected is not None else "-",
        f"~{time_text(max(1.0, expected.seconds))}" if converts and expected is not None else "-",
        made.outcome,
    ]


def _signed(size: int) -> str:
    return f"-{bytes_text(-size)}" if size < 0 else bytes_text(size)


def _notes(one: "Forecast", verbose: int, drawn: bool) -> list[str]:
    """The reason where the file stays as it is; with -v what becomes of every stream, and how sure the size is."""
    made, expected = one.estimate, one.estimate.expected
    notes = [f"{made.reason}. {made.hint}".rstrip(". ") + "."] if drawn and (verbose or made.outcome != "convert") else []
    if not verbose:
        return notes
    if expected is not None and made.outcome in ("convert", "kept-original"):
        sure = {
            "encoded": f"{bytes_text(expected.size)}: all of it was encoded",
            "pieces": f"told from {expected.sampled_s:.1f} s that were encoded",
            "copied": "nothing is encoded, so it stays about as large",
            "others": "told from other pictures of its kind",
        }[expected.basis]
        bounds = "" if expected.basis == "encoded" else f"{bytes_text(expected.low)} to {bytes_text(expected.high)}: "
        notes.append(f"size: {bounds}{sure}")
    notes += [f"{s.index}: {s.type} {s.codec or ''}: {s.action}: {s.reason}" for s in made.streams]
    return notes + [f"note: {warning}" for warning in made.warnings]


def _total_line(total: dict[str, Any]) -> str:
    words = {"convert": "to convert", "stay": "stay as they are", "refuse": "refused"}
    parts = [f"{total[key]} {word}" for key, word in words.items() if total[key]]
    line = f"{total['files']} files, {bytes_text(total['file_size'])}" + (f": {', '.join(parts)}" if parts else "")
    if total["gain"] is None:
        return f"{line}. Sizes were not tried."
    share = f" ({100 * total['gain'] / total['file_size']:.0f} %)" if total["file_size"] else ""
    unknown = f"; of {total['unknown']} nothing can be told" if total["unknown"] else ""
    at_once = f"with {total['workers']} at once" if total["workers"] > 1 else "one after the other"
    return f"{line}. Saves about {_signed(total['gain'])}{share} in about {time_text(total['seconds'])} {at_once}{unknown}."


# --- For programs ------------------------------------------------------------------------------------------------------


def _total(found: "list[Forecast]", workers: int) -> dict[str, Any]:
    """Sums over all files; `gain` and `seconds` (with `workers` at once) are None where nothing was tried."""
    known = [one for one in found if one.estimate.outcome == "convert" and one.estimate.expected is not None]
    converts = sum(one.estimate.outcome == "convert" for one in found)
    tried = bool(known) or not converts
    times = [one.estimate.expected.seconds for one in known if one.estimate.expected is not None]
    return {
        "files": len(found),
        "file_size": sum(one.wanted.file_size for one in found),
        "convert": converts,
        "stay": sum(one.estimate.outcome in ("kept-original", "skip") for one in found),
        "refuse": sum(one.estimate.outcome == "refuse" for one in found),
        "unknown": converts - len(known),
        "gain": sum(one.gain or 0 for one in known) if tried else None,
        "seconds": max(sum(times) / workers, max(times, default=0.0)) if tried else None,
        "workers": workers,
    }


def _document(one: "Forecast") -> dict[str, Any]:
    return {
        "file": os.fsencode(one.wanted.path).decode("utf-8", "backslashreplace"),
        "conversion_type": one.wanted.conversion_type,
        "file_size": one.wanted.file_size,
        "gain": one.gain,
        **one.estimate.model_dump(mode="json"),
    }
