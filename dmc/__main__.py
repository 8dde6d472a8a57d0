"""The `dmc` command, also as `python -m dmc`: begins to warm up the workers of `dmc convert`, then loads the command line.

Both take about as long, and neither needs the other.
"""

import os
import sys

from dmc.assemble.warm import warm_workers

_ONLY_TALK = {"-h", "--help", "-n", "--dry-run"}


def main() -> None:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:]
    warming = warm_workers() if will_convert(arguments) else None
    try:
        from dmc.cli.main import run

        code = run(arguments, warming)
    finally:
        if warming is not None:
            warming.give_up()  # By force only if nobody has used and closed it.
            warming.close()
    if warming is not None and _is_all_said():
        os._exit(code)  # All is closed, too; taking the interpreter apart would take 24 ms more.
    sys.exit(code)


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
