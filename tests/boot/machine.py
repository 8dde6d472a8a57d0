"""A Debian 12 with a real systemd as its first process, in namespaces of this machine: for what no scratch root can tell.

Wants Linux, root and Debian's debootstrap and systemd-container; the first time also the network. Its base tree and the wheels of
dmc stay in `~/.cache/dmc-boot` for the next time. The machine itself writes into a layer above that tree and leaves nothing.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = Path.home() / ".cache" / "dmc-boot"
PROGRAMS = ("debootstrap", "systemd-nspawn", "nsenter", "unshare", "git")
PACKAGES = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-venv,procps,util-linux,sudo"
_LOOKS_S = 0.5

# The cgroups of a machine of its own: also where this one still has those of version 1.
_START = """
set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$4"
echo $$ >"/sys/fs/cgroup/$4/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
export SYSTEMD_SECCOMP=0
exec systemd-nspawn -q -D "$2/root" -M "$4" --register=no --keep-unit --private-network --console=pipe --capability=all \\
    --bind-ro="$3:/mnt/wheels" --bind-ro="$5:/mnt/media" --boot
"""


def missing() -> str | None:
    """Why no machine can be made here; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a machine with its own systemd is made by root of a Linux only"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed here: {', '.join(absent)}" if absent else None


class Machine:
    """A running machine; `run` is a command in it, as root unless said otherwise."""

    def __init__(self, first: int) -> None:
        self._enter = ["nsenter", "-t", str(first), *["-m", "-u", "-i", "-n", "-p", "-C"], "env", "-i", "LANG=C.UTF-8", "HOME=/root"]
        self._enter.append("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

    def try_(self, script: str, *, user: str = "root", given: bytes | None = None) -> "subprocess.CompletedProcess[str]":
        """Run lines of sh, in the user's own session where it is not root."""
        words = ["sh", "-c", f"cd /root && {script}"] if user == "root" else ["su", "-", user, "-c", _SESSION + script]
        done = subprocess.run([*self._enter, *words], input=given or b"", capture_output=True, timeout=600, check=False)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def run(self, script: str, *, user: str = "root", given: bytes | None = None) -> str:
        """Run lines of sh that must succeed; returns what they say."""
        done = self.try_(script, user=user, given=given)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return (done.stdout + done.stderr).strip()

    def shown(self, name: str, unit: str = "dmc-server") -> str:
        """A property of a unit, as systemd tells it."""
        return self.run(f"systemctl show -p {name} --value {unit}")

    def until(self, what: str, true: Callable[[], bool], patience_s: float = 120) -> None:
        """Look again and again until something is true."""
        end = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < end, f"not within {patience_s:.0f} s: {what}\n{self.run('journalctl -n 60 --no-pager -o cat')}"
            time.sleep(_LOOKS_S)

    def copy_checkout(self, place: str) -> None:
        """The checkout as it stands, committed or not."""
        names = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
        there = b"\0".join(name for name in names.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists())
        packed = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=there, capture_output=True, check=True).stdout
        self.run(f"mkdir -p {place} && tar -x -C {place}", given=packed)


_SESSION = 'export XDG_RUNTIME_DIR=/run/user/$(id -u) PATH="$HOME/.local/bin:$PATH"; '


def base_tree() -> Path:
    """A Debian 12 as debootstrap makes it, made once."""
    tree = HOME / "bookworm"
    if not (tree / "etc/hostname").exists():
        HOME.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=HOME) as making:
            part = Path(making) / "tree"
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(part)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            (part / "etc/hostname").write_text("dmc\n")
            part.rename(tree)
    return tree


def wheels() -> Path:
    """What `install/server --offline` wants, for that Debian's Python."""
    place = HOME / "wheels"
    place.mkdir(parents=True, exist_ok=True)
    wanted = (ROOT / "install/requirements.txt").read_bytes()
    stamp = place / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == wanted:
        return place
    python = next(path for path in (sys.executable, "python3") if subprocess.run([path, "-c", "import pip"], check=False).returncode == 0)
    command = [python, "-m", "pip", "download", "-q", "--python-version", "3.11", "--only-binary=:all:", "-d", str(place)]
    subprocess.run([*command, "-r", str(ROOT / "install/requirements.txt")], check=True)
    stamp.write_bytes(wanted)
    return place


@contextlib.contextmanager
def booted(media: Path) -> Iterator[Machine]:
    """A machine from its boot to its end."""
    tree, wheelhouse = base_tree(), wheels()
    with tempfile.TemporaryDirectory(dir=HOME) as layer:
        for name in ("upper", "work", "root"):
            (Path(layer) / name).mkdir()
        name = f"dmc-boot-{os.getpid()}"
        words = ["unshare", "--mount", "--cgroup", "sh", "-c", _START, "sh", str(tree), layer, str(wheelhouse), name, str(media)]
        with (Path(layer) / "console").open("wb") as console:
            container = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        machine = None
        try:
            first = _first_process(container.pid)
            machine = Machine(first)
            machine.until("the machine is up", lambda: machine.try_("systemctl is-system-running").stdout.strip() == "running")
            yield machine
        finally:
            if machine is not None:
                machine.try_("systemctl poweroff")
            with contextlib.suppress(subprocess.TimeoutExpired):
                container.wait(60)
            container.kill()
            container.wait()
            _remove_groups(name)


def _remove_groups(name: str) -> None:
    """The machine's cgroups, from the inside out: who mounted them for it is gone, they are not."""
    for above in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        for folder, _, _ in os.walk(above / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _first_process(container: int) -> int:
    """The machine's first process, which nspawn starts."""
    end = time.monotonic() + 30
    children = Path(f"/proc/{container}/task/{container}/children")
    while time.monotonic() < end:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                return int(child)
        time.sleep(_LOOKS_S)
    raise AssertionError("the machine does not boot")
