"""`dmc convert`, `probe`, `types`: what needs no server. Decoding happens in the locked room of a worker."""

import json
import os
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dmc.cli.options import End, Files, FilesFrom, Null, Options, Start, To, Workers, named_files, parse_options
from dmc.cli.render import DryRun, Json, Screen, bytes_text, clean, screen_of, short
from dmc.cli.telling import Milestones

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher
    from dmc.convert.local import Ended

WARMING = "dmc.warming"
"""Under this name the front door hands over workers that it began to warm up before it knew the command."""

Out = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for results; default: beside each file.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the front door."""
    app.command()(convert)
    app.command()(probe)
    app.command()(types)


def convert(
    context: typer.Context,
    files: Files = None,
    to: To = None,
    output: Out = None,
    options: Options = None,
    start: Start = None,
    end: End = None,
    files_from: FilesFrom = None,
    null: Null = False,
    workers: Workers = 0,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Convert files here and now, without any server. Example: dmc convert holiday.mov --to web"""
    screen = screen_of(context)
    wanted = parse_options(options, start, end)
    named = named_files(files, files_from, null=null)
    missing = [file for file in named if not file.is_file()]
    present = [file for file in named if file.is_file()]
    for file in missing:
        screen.say(f"error: {file} is no plain file" if file.exists() else f"error: there is no file {file}")
    if output is not None and not output.is_dir():
        from dmc.errors import NotFound

        raise NotFound(f"there is no folder {output}.", "Make it first.")
    if dry_run:
        from dmc.cli.plan import show_plans

        show_plans(screen, present, to, wanted, workers, as_json, samples=False)
        raise typer.Exit(5 if missing else 0)
    warming = context.meta.get(WARMING)
    codes = [5] * len(missing) + _convert_all(screen, present, to, output, wanted, workers, as_json, warming)
    raise typer.Exit(_together(codes))


def _convert_all(
    screen: Screen,
    files: list[Path],
    to: str | None,
    output: Path | None,
    options: dict[str, Any],
    workers: int,
    as_json: bool,
    warming: "Launcher | None",
) -> list[int]:
    if not files:
        return []
    from dmc.assemble.warm import warm_workers

    with closing(warming or warm_workers()) as warm:
        return _convert_groups(screen, files, to, output, options, workers, as_json, warm)


def _convert_groups(
    screen: Screen,
    files: list[Path],
    to: str | None,
    output: Path | None,
    options: dict[str, Any],
    workers: int,
    as_json: bool,
    warming: "Launcher",
) -> list[int]:
    """Convert the files, those of one conversion type at a time; the first group takes the workers that are warm already."""
    from dmc.assemble.local import conversion_for, known_type, local_run

    if to is not None:
        known_type(to, options)  # Once, before the first file.
    codes: list[int] = []
    kinds: dict[str, list[Path]] = {}
    for file in files:
        kinds.setdefault(to or conversion_for(file), []).append(file)
    with screen.bars() if screen.draws else nullcontext() as bars:
        shown: dict[Path, Any] = {}
        due = Milestones()

        def progress(source: Path, fraction: float) -> None:
            if bars is not None:
                if source not in shown:
                    shown[source] = bars.add_task(short(source.name, 30), total=1.0)
                bars.update(shown[source], completed=fraction)
            elif due(str(source), fraction):
                screen.say(f"{clean(source.name)}: {fraction:.0%}")

        for kind, group in kinds.items():

            def end(ended: "Ended", kind: str = kind) -> None:
                if bars is not None and ended.source in shown:
                    bars.remove_task(shown.pop(ended.source))
                codes.append(_show_end(screen, ended, kind, as_json))

            run = local_run(workers or None, output, None if codes else warming, alone=len(files) == 1)
            run.run(group, kind, options, lambda source, said: progress(source, said.fraction), end)
    return codes


def _show_end(screen: Screen, ended: "Ended", kind: str, as_json: bool) -> int:
    report = ended.report
    if as_json:
        screen.document(
            "convert",
            {
                "source": os.fsencode(ended.source).decode("utf-8", "backslashreplace"),
                "conversion_type": kind,
                "kind": report.kind,
                "reason": report.reason,
                "target": str(ended.target) if ended.target else None,
                "sidecars": [str(path) for path in ended.sidecars],
                "result": report.result.model_dump() if report.result else None,
                "errors": [error.model_dump() for error in report.errors],
                "receipt": json.loads(ended.receipt.read_bytes()) if ended.receipt and ended.receipt.is_file() else None,
            },
        )
    elif ended.target is not None and report.result is not None:
        was = ended.source.stat().st_size
        share = f", {100 - 100 * report.result.file_size / was:.0f} % smaller" if was > report.result.file_size else ""
        screen.data(f"{clean(str(ended.target))}: converted and verified, {bytes_text(report.result.file_size)}{share}")
        for path in ended.sidecars:
            screen.data(f"  beside it: {clean(path.name)}")
        if report.reason:
            screen.say(f"  note: {report.reason}")
    elif report.kind in ("kept-original", "skipped"):
        screen.data(f"{clean(str(ended.source))}: {report.kind}: {report.reason}")
    else:
        for error in report.errors:
            screen.say(f"error: {ended.source}: {error.message}" + (f"\n       {error.hint}" if error.hint else ""))
    return exit_code_of(report.kind, [error.code for error in report.errors])


def exit_code_of(kind: str, codes: list[str]) -> int:
    """The exit code that tells a report: 0 for every good end, else that of the first error's class."""
    from dmc import errors

    if kind in ("converted", "kept-original", "skipped"):
        return 0
    for code in codes:
        known = getattr(errors, code, None)
        if isinstance(known, type) and issubclass(known, errors.DmcError):
            return known.exit_code
    return 70 if kind == "crashed" else 1


def _together(codes: list[int]) -> int:
    """One exit code for many files: the common one if all agree, 3 if only some failed."""
    different = set(codes)
    return different.pop() if len(different) == 1 else 3 if different else 0


def probe(context: typer.Context, file: Annotated[Path, typer.Argument(help="File.")], as_json: Json = False) -> None:
    """Say what is in a file. Example: dmc probe clip.mp4"""
    from dmc.assemble.local import look_into

    screen = screen_of(context)
    facts = look_into(file)
    if as_json:
        screen.document("probe", {"file": str(file), **facts})
        return
    length = f", {facts['duration_s']:.1f} s" if facts.get("duration_s") else ""
    screen.data(f"{clean(file.name)}: {facts['media_type']}, {facts['container']}{length}")
    if origin := _origin_line(facts):
        screen.data(f"  recorded {clean(origin)}")
    for stream in facts.get("streams", []):
        screen.data("  " + _stream_line(stream))
    if not facts.get("streams") and facts.get("width"):
        screen.data(f"  {facts['width']}x{facts['height']}")


def _origin_line(facts: dict[str, Any]) -> str:
    """`2024-05-01T10:00:00+02:00 at 48.1, 11.5`: when and where, as far as the file says."""
    place = f"at {facts['latitude']:g}, {facts['longitude']:g}" if facts.get("latitude") is not None else ""
    return " ".join(part for part in (facts.get("recorded_at"), place) if part)


def _stream_line(stream: dict[str, Any]) -> str:
    words = [f"{stream.get('index')}: {stream.get('type') or stream.get('kind')}", str(stream.get("codec") or "unknown codec")]
    if stream.get("width"):
        words.append(f"{stream['width']}x{stream['height']}")
    if stream.get("sample_rate"):
        words.append(f"{stream['sample_rate']} Hz, {stream.get('channels')} channels")
    words += [str(stream[key]) for key in ("language", "title") if stream.get(key)]
    return ", ".join(words)


def types(
    context: typer.Context,
    server: Annotated[str | None, typer.Option("--server", help="Those of a server of the client's settings: its name or address.")] = None,
    as_json: Json = False,
) -> None:
    """List the conversion types; with -v their options too. Example: dmc types"""
    from dmc.config import load_client, load_server
    from dmc.conversions import describe, with_own_types

    screen = screen_of(context)
    if server is None:
        kinds = describe(with_own_types(load_server().settings.conversion_types))
    else:
        from dmc.assemble.client import types_of

        kinds = types_of(load_client().settings, server)
    if as_json:
        screen.document("types", {"types": kinds})
        return
    rows = [[str(kind.get(key, "")) for key in ("name", "extension", "summary")] for kind in kinds]
    for row, kind in zip(rows, kinds, strict=True):
        row.insert(1, ", ".join(str(medium) for medium in kind.get("media_types", ())))
    notes = {n: [_option_line(option) for option in kind.get("options", ())] for n, kind in enumerate(kinds)} if screen.verbose else {}
    screen.table(["TYPE", "FROM", "GIVES", "WHAT"], rows, notes)


def _option_line(option: dict[str, Any]) -> str:
    """`crf: quality of the picture … (0 to 51)`."""
    bounds = {"word": " or ".join(option.get("words") or ()), "boolean": "true or false", "time": "seconds or HH:MM:SS.mmm"}.get(
        option.get("type", "")
    )
    said = bounds or f"{option.get('least')} to {option.get('most')}"
    default = f"; here {option['default']}" if option.get("default") is not None else ""
    return f"{option.get('name')}: {option.get('summary')} ({said}{default})"
