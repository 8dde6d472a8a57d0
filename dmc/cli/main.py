"""The `dmc` command: puts the nouns together, and is the one place where errors become exit codes.

Loads no room: commands import what they need when they run, so that `--help` is instant. Talk goes to stderr, data to
stdout.
"""

import errno
import json
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Annotated

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # typer's own, not listed by it

from dmc import __version__
from dmc.cli import add, backup, broker, client, completion, config, convert, doctor, items, plan, previews, server, trash, up
from dmc.cli.render import Screen
from dmc.errors import BadSettings, DiskFull, DmcError, StillBroken, UsageFault
from dmc.interrupt import was_interrupted

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher

EXIT_INTERRUPTED = 130
EXIT_OURS = 70
_NOT_MINE = {errno.EACCES, errno.EPERM, errno.EROFS}

app = typer.Typer(
    name="dmc",
    add_completion=False,  # `dmc completion` prints the scripts; nothing is written into anybody's shell.
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done or safely queued, 1 failed, 2 usage or settings, 3 some failed, 4 sign-in, 5 not found, "
    "6 conflict or locked, 7 no server, 8 no space, 9 not (supported) media, 10 verification failed, 70 our fault, "
    "124 timed out, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"dmc {__version__}\n")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but data and errors.")] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; twice: tracebacks too.")] = 0,
    _show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Drop a video, sound or picture into a folder; it comes home converted and verified."""
    context.meta[convert.WARMING] = context.obj
    context.obj = Screen(quiet=quiet, verbose=verbose)


for room in (up, convert, plan, add, items):
    room.register(app)
for noun, group in (("server", server), ("broker", broker), ("client", client), ("config", config)):
    app.add_typer(group.app, name=noun)
doctor.register(app)
previews.register(broker.app)
trash.register(broker.app)
backup.register(app)
completion.register(app)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], warming: "Launcher | None" = None) -> int:
    """Run one command; returns the exit code. Every error ends here. `warming`: workers of `dmc convert` that are begun already."""
    completion_init()  # So that a shell may ask; what it asks with is printed by `dmc completion`.
    try:
        code = app(arguments, prog_name="dmc", standalone_mode=False, obj=warming)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except DmcError as problem:
        _tell(problem, "--json" in arguments)
        return problem.exit_code
    except typer.TyperException as problem:
        return _misused(problem, "--json" in arguments)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as end:
        # The framework turns a broken pipe into its own end, with 1.
        if isinstance(end.__context__, BrokenPipeError):
            return _reader_gone()
        raise
    except OSError as problem:
        told = _of_this_machine(problem)
        if told is None:
            return _our_fault(problem, arguments)
        _tell(told, "--json" in arguments)
        return told.exit_code
    except Exception as problem:  # noqa: BLE001 - the last line of the command line: a sentence instead of a traceback
        return _our_fault(problem, arguments)


def _reader_gone() -> int:
    """What was wanted was read, e.g. by `| head`. Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _of_this_machine(problem: OSError) -> DmcError | None:
    """What the user can mend: a place where they may not write, or no room left. None: it is ours."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("nothing more can be written: the disk is full.", "Free some space.")
    if problem.errno not in _NOT_MINE or problem.filename is None:
        return None
    hint = "This user may not do that there; see: dmc doctor"
    if problem.errno == errno.EROFS:
        hint = "Its disk is mounted read-only, or it is closed to the service; then: sudo dmc server folder add FOLDER"
    return BadSettings(f"{os.fsdecode(problem.filename)}: {problem.strerror}.", hint)


def _tell(problem: DmcError, as_json: bool) -> None:
    if as_json:
        detail = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        sys.stderr.write(json.dumps({"error": detail}) + "\n")
        return
    from dmc.cli.render import clean
    from dmc.homes import leads_to_journal

    # In the journal an error is found by its priority. Message and hint may hold names that others gave to files.
    head = "<3>" if leads_to_journal(sys.stderr) else ""
    told = f"error: {clean(problem.message, keep_lines=True)}"
    if problem.hint:
        told += f"\n       {clean(problem.hint, keep_lines=True)}"
    sys.stderr.write("".join(f"{head}{line}\n" for line in told.split("\n")))


def _misused(problem: typer.TyperException, as_json: bool) -> int:
    """What the framework says of arguments that do not fit."""
    show, said = getattr(problem, "show", None), getattr(problem, "format_message", None)
    if as_json and callable(said) and (message := said()):
        _tell(UsageFault(message, "See: dmc --help"), as_json)
    elif callable(show):
        show()
    else:
        sys.stderr.write(f"error: {problem}\n")
    return problem.exit_code


def _our_fault(problem: Exception, arguments: list[str]) -> int:
    if was_interrupted():
        return EXIT_INTERRUPTED
    text = "".join(traceback.format_exception(problem))
    if "-vv" in arguments:
        sys.stderr.write(text)
        return EXIT_OURS
    with tempfile.NamedTemporaryFile("w", prefix="dmc-fault-", suffix=".log", delete=False) as file:
        file.write(text)
    told = StillBroken(f"a fault of dmc: {type(problem).__name__}: {problem}", f"The details are in {file.name}")
    _tell(told, "--json" in arguments)
    return EXIT_OURS
