"""The `dmc` command, also as `python -m dmc`: forks the process that warms up for `dmc convert`, then loads the command line.

Both take about as long, and neither needs the other; what both need is imported before they part. Nothing is imported before Ctrl-C
can end it in silence.
"""

import gc
import io
import os
import sys

_ONLY_TALK = {"-h", "--help", "-n", "--dry-run"}
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:]
    gc.disable()  # Nothing of what is imported is garbage.
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if (code == _INTERRUPTED or will_convert(arguments)) and _is_all_said():
        os._exit(code)  # All is closed, too. Taking the interpreter apart takes 24 ms, and may end it by SIGINT after all.
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from dmc.interrupt import lose_no_interrupt, nothing_to_interrupt, undisturbed

    lose_no_interrupt()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # What a terminal's alphabet lacks is written out, as on stderr.
    warming = None
    try:
        if will_convert(arguments):
            from dmc.assemble.warm import warm_workers

            warming = warm_workers(fork=True)
        from dmc.cli.main import run

        gc.freeze()
        gc.enable()
        code = run(arguments, warming)
    finally:
        if warming is not None:
            with undisturbed():
                warming.give_up()  # By force only if nobody has used and closed it.
                warming.close()
    nothing_to_interrupt()
    return code


def _is_all_said() -> bool:
    """Was everything written out? Where not, the interpreter complains of it at its end."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError, AttributeError):  # broken, closed, or not there at all
        return False
    return True


def will_convert(arguments: list[str]) -> bool:
    """Is this, at a glance, a conversion here and now? A wrong guess costs a process that is ended at once."""
    words = [word for word in arguments if not word.startswith("-")]
    return words[:1] == ["convert"] and len(words) > 1 and not _ONLY_TALK & set(arguments)


if __name__ == "__main__":
    main()
