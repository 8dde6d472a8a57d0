"""Seconds of the processors that a server and its processes have used, as /proc counts them."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def used_by(pid: int) -> float:
    """Seconds that one living process has used itself."""
    return _stat(pid)[1]


def split(server: int) -> dict[str, float]:
    """Of a whole server: its own process with the broker, the process that workers are forked from, and the workers.

    A fork server reaps the workers, so what those used stands in its account; what still runs is added. What the server itself
    has reaped (nothing, as long as it runs) is left out.
    """
    found = {int(path.name): _stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    forkers = [pid for pid, (parent, _own, _reaped) in found.items() if parent == server]
    workers = [pid for pid, (parent, _own, _reaped) in found.items() if parent in forkers]
    return {
        "server": found[server][1],
        "fork_server": sum(found[pid][1] for pid in forkers),
        "workers": sum(found[pid][2] for pid in forkers) + sum(found[pid][1] + found[pid][2] for pid in workers),
    }


def _stat(pid: int) -> tuple[int, float, float]:
    """Parent, own seconds, seconds of reaped children; parent -1 for one that is gone. Source: proc_pid_stat(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return -1, 0.0, 0.0
    ticks = [int(field) for field in fields[11:15]]
    return int(fields[1]), (ticks[0] + ticks[1]) * _TICK_S, (ticks[2] + ticks[3]) * _TICK_S
