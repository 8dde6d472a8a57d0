"""Worker processes from settings: how many, as whom, within which limits.

Apart from server.py, since `dmc convert` needs these and nothing else of a server.
"""

import os
from typing import TYPE_CHECKING, Literal

from dmc.clock import SystemClock
from dmc.conversions import with_own_types
from dmc.errors import BadSettings
from dmc.files import RealDisk, make_home
from dmc.jobs import Staffing
from dmc.server_settings import ServerSettings

if TYPE_CHECKING:
    from dmc.convert.launch import Launcher
    from dmc.convert.limits import Limits
    from dmc.convert.pool import WorkerPool


_MEMORY_EACH = 3 << 30
_MOST = 8


def staffing_of(chosen: int, cores: int, memory: int) -> Staffing:
    """Conversions at once: as `chosen`, else half the cores, at least two where there are two, one per 3 GiB of `memory`, at most eight."""
    if chosen:
        return Staffing(total=chosen, wanted=chosen, bound="settings")
    wanted = max(1, cores // 2, min(cores, 2))
    by_memory = max(1, memory // _MEMORY_EACH)
    total = min(wanted, by_memory, _MOST)
    bound: Literal["cores", "memory", "most"] = "cores" if total == wanted else "memory" if total == by_memory else "most"
    return Staffing(total=total, wanted=wanted, bound=bound)


def staffing(chosen: int) -> Staffing:
    """Conversions at once on this machine; `chosen`: the setting, 0 where nobody did."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return staffing_of(chosen, len(os.sched_getaffinity(0)), memory)


def limits_of(settings: ServerSettings) -> "Limits":
    from dmc.convert.limits import Limits

    bounds = settings.limits
    return Limits(
        max_pixels=bounds.max_pixels, max_duration_s=bounds.max_duration_h * 3600, memory_bytes=bounds.worker_memory, stall_s=bounds.stall_s
    )


def start_pool(settings: ServerSettings, warming: "Launcher | None" = None, entry: str | None = None) -> "WorkerPool":
    """Worker processes; call it before any lock or socket is open. `warming`: begun already, to save time. `entry`: another engine."""
    from dmc.convert.launch import ENGINE
    from dmc.convert.pool import WorkerPool

    slots = staffing(settings.number_of_conversion_threads).total
    pool = WorkerPool(
        slots,
        limits_of(settings),
        SystemClock(),
        stall_limit_s=settings.limits.stall_s,
        sandbox=settings.sandbox,
        run_as=worker_ids(settings),
        nice=settings.worker_nice,
        types=with_own_types(settings.conversion_types),
        defaults={"on_loss": settings.on_loss} if settings.on_loss != "continue" else {},
        warming=warming,
        entry=entry or ENGINE,
    )
    pool.start()
    return pool


def worker_ids(settings: ServerSettings) -> tuple[int, int] | None:
    """The (uid, gid) that workers of root become, with the data folder made passable for them; None if they stay who they are.

    Raises BadSettings for a user that is not there, is root, or cannot come to the data folder.
    """
    if not settings.worker_user or os.geteuid() != 0:
        return None
    import pwd

    from dmc.broker.storage import Place
    from dmc.broker.storage_dirs import StorageDirs

    try:
        user = pwd.getpwnam(settings.worker_user)
    except KeyError:
        raise BadSettings(f"there is no user {settings.worker_user!r} for workers.", "Name one that exists, e.g. nobody.") from None
    if user.pw_uid == 0:
        raise BadSettings("worker_user must not be root.", "Name a user without rights, e.g. nobody.")
    make_home(settings.data_folder)
    StorageDirs(settings.data_folder, RealDisk()).prepare()
    data = settings.data_folder.resolve()
    for folder in (data, *(data / place for place in Place)):
        folder.chmod(folder.stat().st_mode & 0o777 | 0o011)
    for folder in data.parents:
        if not folder.stat().st_mode & 0o001:
            raise BadSettings(
                f"workers of {settings.worker_user!r} cannot pass {folder}.", "Move the data folder, or run: chmod o+x on it."
            )
    return user.pw_uid, user.pw_gid
