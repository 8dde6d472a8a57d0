"""Installing and taking away: into a scratch root, twice, upgraded, rolled back, and nothing left but settings and data.

By default the packages of the environment that runs the tests stand in for those of the network (a Python that makes such
environments is handed to the scripts); the slow test does it with the real ones.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PYTHON = """#!/bin/sh
if [ "$1 $2" != "-m venv" ]; then exec {python} "$@"; fi
{python} -m venv --without-pip "$3"
packages=$(echo "$3"/lib/python*/site-packages)
echo {site} >"$packages/stand_in.pth"
mkdir "$packages/pip"
# Without this file the pip of the environment that runs the tests, where it has one, would go first, though it stands behind.
: >"$packages/pip/__init__.py"
cat >"$packages/pip/__main__.py" <<'END'
import pathlib, shutil, sys
if "-r" not in sys.argv:
    shutil.copytree(pathlib.Path(sys.argv[-1]) / "dmc", pathlib.Path(__file__).parent.parent / "dmc")
END
"""


class Machine:
    """A scratch root, a checkout to install from, and a Python whose environments borrow the packages of this one."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.checkout = folder / "check out"
        self.checkout.mkdir()
        for name in ("dmc", "config", "install"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            shutil.copy(ROOT / name, self.checkout)
        self.python = folder / "python"
        self.python.write_text(PYTHON.format(python=sys.executable, site=sysconfig.get_path("purelib")))
        self.python.chmod(0o755)
        self.tools = folder / "tools without a systemd"
        self.tools.mkdir()
        for name in ("systemctl", "loginctl"):
            (self.tools / name).write_text("#!/bin/sh\nexit 1\n")
            (self.tools / name).chmod(0o755)

    def run(self, script: str, *arguments: str, check: bool = True, typed: str = "") -> "subprocess.CompletedProcess[str]":
        """A script of install/, into the scratch root."""
        return self.run_at_home("/home-of-nobody", script, *arguments, "--root", str(self.root), check=check, typed=typed)

    def run_at_home(
        self, home: Path | str, script: str, *arguments: str, check: bool = True, typed: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """The same by somebody whose home is there, where it says; no systemd is at work for them."""
        path = f"{self.tools}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(home), "PYTHON": str(self.python)}
        command = [self.checkout / "install" / script, *arguments]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300, input=typed)
        assert not check or done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def dmc(self, *arguments: str) -> str:
        """The installed program, as it stands in the scratch root."""
        program = [self.root / "opt/dmc/current/bin/python", "-m", "dmc"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "DMC_HOME": str(self.root / "var/lib/dmc")}
        return subprocess.run([*program, *arguments], env=environment, cwd="/", capture_output=True, text=True, check=True).stdout

    def release(self, version: str) -> None:
        """Make the checkout another version."""
        for file in (self.checkout / "pyproject.toml", self.checkout / "dmc/__init__.py"):
            file.write_text(re.sub(r'(version__|^version) = "[^"]*"', rf'\1 = "{version}"', file.read_text(), flags=re.M))

    def current(self) -> str:
        return str((self.root / "opt/dmc/current").readlink()).removeprefix("versions/").partition("-")[0]

    def files(self) -> dict[str, bytes | str]:
        """Everything in the root but what is inside an environment."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if "/versions/" in name and name.count("/") > 3:
                continue
            found[name] = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_installed_twice_upgraded_rolled_back_and_taken_away_nothing_is_left_but_settings(machine: Machine) -> None:
    machine.run("server", "--yes")
    first = machine.files()
    assert machine.dmc("--version").split()[1] == machine.current()
    assert "Nothing to change" in machine.run("server", "--yes").stderr
    assert machine.files() == first

    machine.release("7.1.0")
    machine.run("server", "--yes")
    assert machine.current() == "7.1.0" and machine.dmc("--version") == "dmc 7.1.0\n"
    machine.run("server", "--yes", "--rollback")
    assert machine.current() != "7.1.0" and machine.dmc("--version").split()[1] == machine.current()
    machine.run("server", "--yes", "--rollback")
    assert machine.current() == "7.1.0"
    machine.release("7.2.0")
    machine.run("server", "--yes")
    assert sorted(path.name.partition("-")[0] for path in (machine.root / "opt/dmc/versions").iterdir()) == ["7.1.0", "7.2.0"]

    machine.run("uninstall", "server", "--yes")
    assert machine.files() == {"etc": "folder", "etc/dmc": "folder", "etc/dmc/server.toml": first["etc/dmc/server.toml"]}


def test_settings_are_never_overwritten_and_newer_examples_stand_beside_them(machine: Machine) -> None:
    settings = machine.root / "etc/dmc/server.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("listen_on_port = 1234\n")
    machine.run("server", "--yes")
    assert settings.read_text() == "listen_on_port = 1234\n"
    example = settings.with_name("server.toml.new").read_text()
    assert 'data_folder = "/var/lib/dmc/server"' in example and "# listen_on_port" in example
    machine.run("uninstall", "server", "--yes")
    assert machine.files() == {"etc": "folder", "etc/dmc": "folder", "etc/dmc/server.toml": b"listen_on_port = 1234\n"}


def test_an_upgrade_keeps_the_queue(machine: Machine) -> None:
    machine.run("server", "--yes")
    picture = machine.root.parent / "one.png"
    from PIL import Image

    Image.new("RGB", (64, 48), (200, 30, 30)).save(picture)
    added = machine.dmc("broker", "add", str(picture), "--to", "webp", "--json")
    machine.release("7.1.0")
    machine.run("server", "--yes")
    listed = machine.dmc("broker", "list", "--json")
    assert '"one.png"' in added and '"one.png"' in listed and '"to_do"' in listed


def test_what_somebody_changed_stays_and_is_named(machine: Machine) -> None:
    machine.run("server", "--yes")
    unit = machine.root / "etc/systemd/system/dmc-server.service"
    unit.write_text(unit.read_text() + "# mine\n")
    told = machine.run("uninstall", "server", "--yes").stderr
    assert f"{unit} was changed by somebody and stays" in told and unit.read_text().endswith("# mine\n")
    assert not (machine.root / "opt").exists()


def test_one_role_goes_and_the_other_keeps_the_program(machine: Machine) -> None:
    before = machine.files()
    machine.run("client", "--yes")
    alone = machine.files()
    machine.run("server", "--yes")
    machine.run("uninstall", "server", "--yes", "--purge", typed="purge\n")
    assert machine.files() == alone and machine.dmc("--version")
    machine.run("uninstall", "client", "--yes")
    assert machine.files() == before == {}


def test_a_dry_run_says_all_and_writes_nothing(machine: Machine) -> None:
    told = machine.run("server", "--dry-run").stderr
    assert machine.files() == {}
    for word in ("opt/dmc/current", "usr/local/bin/dmc", "etc/dmc/server.toml", "dmc-server.service", "would make"):
        assert word in told
    lines = told.splitlines()
    assert len(lines) == len(set(lines))
    machine.run("server", "--yes")
    there = machine.files()
    told = machine.run("uninstall", "server", "--dry-run").stderr
    assert "would remove" in told and machine.files() == there


def test_it_asks_and_without_a_terminal_wants_a_yes(machine: Machine) -> None:
    refused = machine.run("server", check=False)
    assert refused.returncode == 2 and "--yes" in refused.stderr and machine.files() == {}
    assert machine.run("server", "--jes", check=False).returncode == 2
    assert machine.run("server", "--prefix", "opt", "--yes", check=False).returncode == 2
    machine.run("server", "--yes")
    there = machine.files()
    kept = machine.run("uninstall", "server", "--yes", "--purge", typed="yes\n", check=False)
    assert kept.returncode == 1 and "Nothing was removed" in kept.stderr and machine.files() == there
    absent = machine.run("uninstall", "client", "--yes", check=False)
    assert absent.returncode == 1 and "there is no dmc client" in absent.stderr


def test_taken_away_but_cut_it_is_taken_away_at_the_next_try(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine.run("client", "--yes")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "rm").write_text(f'#!/bin/sh\ncase "$*" in */versions/*) exit 1 ;; esac\nexec {shutil.which("rm")} "$@"\n')
    (tools / "rm").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        assert machine.run("uninstall", "client", "--yes", check=False).returncode == 1
    assert (machine.root / "opt/dmc/versions").is_dir()
    machine.run("uninstall", "client", "--yes")
    assert machine.files() == {}


def test_purge_takes_settings_and_data_of_that_role_only(machine: Machine) -> None:
    machine.run("server", "--yes")
    guards = [f"etc/systemd/system/dmc-{name}.service.d/folders.conf" for name in ("server", "broker")]
    for name in ("var/lib/dmc/server/index.json", "var/lib/dmc/client/outbox.json", *guards):
        file = machine.root / name
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    machine.run("uninstall", "server", "--yes", "--purge", typed="purge\n")
    assert [name for name, what in machine.files().items() if what != "folder"] == ["var/lib/dmc/client/outbox.json"]


def test_a_version_that_does_not_start_changes_nothing(machine: Machine) -> None:
    machine.run("server", "--yes")
    before = machine.files()
    machine.release("7.1.0")
    (machine.checkout / "dmc/__main__.py").write_text("raise SystemExit('broken')\n")
    refused = machine.run("server", "--yes", check=False)
    assert refused.returncode == 1 and "does not start" in refused.stderr
    left = {name: what for name, what in machine.files().items() if ".building" not in name}
    assert left == before and machine.dmc("--version")


def test_it_uninstalls_itself_after_the_checkout_is_gone(machine: Machine) -> None:
    machine.run("client", "--yes")
    shutil.rmtree(machine.checkout)
    command = [machine.root / "opt/dmc/install/uninstall", "client", "--yes", "--root", machine.root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and machine.files() == {}, done.stderr


def test_for_one_user_alone_it_stays_in_their_home(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.run("client", "--user", "--yes")
    home = machine.root / "home-of-nobody"
    assert {path.name for path in machine.root.iterdir()} == {home.name}
    assert (home / ".config/dmc/client.toml").is_file() and (home / ".config/systemd/user/dmc-client.service").is_file()
    assert "\nExecStart=/home-of-nobody/.local/bin/dmc client run\n" in (home / ".config/systemd/user/dmc-client.service").read_text()
    machine.run("uninstall", "client", "--user", "--yes")
    assert {name for name, what in machine.files().items() if what != "folder"} == {"home-of-nobody/.config/dmc/client.toml"}


def test_purged_from_a_real_home_nothing_is_left(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    home = tmp_path / "my home"
    home.mkdir()
    said = machine.run_at_home(home, "server", "--user", "--yes").stderr
    assert (home / ".local/bin/dmc").is_file() and (home / ".config/dmc/server.toml").is_file(), said
    for name in (".local/state/dmc/server", ".config/systemd/user/dmc-broker.service.d"):
        (home / name).mkdir(parents=True)
        (home / name / "folders.conf").touch()
    said += machine.run_at_home(home, "uninstall", "server", "--user", "--yes", "--purge", typed="purge\n").stderr
    left = [str(path.relative_to(home)) for path in sorted(home.rglob("*")) if not path.is_dir() or path.is_symlink()]
    assert left == [], said


def test_the_packages_of_the_stand_in_are_its_own(tmp_path: Path) -> None:
    """A pip that goes to the network, or asks other programs who they are, is not what these tests are about."""
    machine = Machine(tmp_path)
    behind = tmp_path / "behind"
    (behind / "pip").mkdir(parents=True)
    (behind / "pip/__init__.py").touch()
    (behind / "pip/__main__.py").write_text("raise SystemExit('the real pip')")
    machine.python.write_text(PYTHON.format(python=sys.executable, site=behind))
    made = subprocess.run([machine.python, "-m", "venv", tmp_path / "made"], timeout=60)
    done = subprocess.run([tmp_path / "made/bin/python", "-m", "pip", "install", "-r", "none"], capture_output=True, text=True, timeout=60)
    assert (made.returncode, done.returncode, done.stderr) == (0, 0, "")


@pytest.mark.slow
def test_with_the_real_packages(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    machine.run("server", "--yes")
    assert machine.dmc("--version") and "h265" in machine.dmc("types")
    machine.run("uninstall", "server", "--yes")
    assert set(machine.files()) == {"etc", "etc/dmc", "etc/dmc/server.toml"}


# --- Units -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["dmc-server.service", "dmc-broker.service"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit of the system, as installed; the program it starts is one that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    file = tmp_path / str(request.param)
    text = (ROOT / "install/systemd/system" / str(request.param)).read_text()
    file.write_text(text.replace("@PROGRAM@", f"{sys.executable} -m dmc"))
    return file


def test_systemd_accepts_the_unit(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr


def test_systemd_finds_little_exposed(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, timeout=60)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score is not None, done.stdout + done.stderr
    assert float(score.group(1)) <= 2.0


def _calls(group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
    names = {line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")}
    return {name for one in names for name in (_calls(one) if one.startswith("@") else {one})}


def _allowed(unit: str) -> set[str]:
    allowed: set[str] = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        named = {call for word in words.removeprefix("~").split() for call in (_calls(word) if word.startswith("@") else {word})}
        allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


@pytest.mark.slow
def test_everything_that_a_conversion_asks_of_the_kernel_is_in_the_units_filter(tmp_path: Path) -> None:
    if shutil.which("strace") is None or shutil.which("systemd-analyze") is None:
        pytest.skip("strace or systemd-analyze is not installed here")
    trace = tmp_path / "calls"
    command = ["strace", "-f", "-qq", "-e", "signal=none", "-s", "0", "-o", trace, sys.executable, "-m", "dmc", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    if "PTRACE_TRACEME" in done.stderr or "ptrace" in done.stderr.lower():
        pytest.skip(f"processes may not be traced here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    with trace.open() as lines:
        used = {match.group(1) for line in lines if (match := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))}
    assert {"prctl", "execve", "openat"} <= used
    assert used <= _allowed((ROOT / "install/systemd/system/dmc-server.service").read_text())


# --- Container -------------------------------------------------------------------------------------------------------

CONTAINER = ROOT / "install/container"


def test_the_containerfile_and_the_compose_example_are_clean() -> None:
    if shutil.which("hadolint", path=sysconfig.get_path("scripts")) is None:
        pytest.skip("hadolint has no program for this processor")
    tools = Path(sysconfig.get_path("scripts"))
    for command in (
        [tools / "hadolint", CONTAINER / "Containerfile"],
        [tools / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", CONTAINER / "compose.yaml"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_containerfile_copies_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (CONTAINER / "Containerfile").read_text(), re.M)
    assert copied and all((ROOT / name).exists() for line in copied for name in line.split())


@pytest.mark.parametrize(
    ("me", "owner", "environment", "becomes"),
    [
        (0, 0, {}, "--reuid 1000 --regid 1000"),
        (0, 1026, {}, "--reuid 1026 --regid 1026"),
        (0, 1026, {"PUID": "99", "PGID": "100"}, "--reuid 99 --regid 100"),
        (1000, 0, {"PUID": "99"}, None),
    ],
)
def test_the_container_becomes_the_user_that_the_files_shall_belong_to(
    tmp_path: Path, me: int, owner: int, environment: dict[str, str], becomes: str | None
) -> None:
    for name, body in {"id": f"echo {me}", "stat": f"echo {owner}", "chown": "exit 0", "setpriv": 'echo became "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = [CONTAINER / "entrypoint", "sh", "-c", "umask"]
    done = subprocess.run(command, env={"PATH": path, "UMASK": "027", **environment}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if becomes is None:
        assert done.stdout.strip() == "0027"
    else:
        assert done.stdout.split("--clear")[0].strip() == f"became {becomes}"


def test_the_container_refuses_a_user_that_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "id").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PUID": "me", "PGID": "1"}
    done = subprocess.run([CONTAINER / "entrypoint", "true"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "PUID and PGID are numbers" in done.stderr
