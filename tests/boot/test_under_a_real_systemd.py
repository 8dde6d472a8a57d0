"""What the scratch roots of test_install_services.py cannot tell: installers and units under a real systemd, in one machine, in this order.

Seen with systemd 252 of Debian 12. Minutes long, of which most are the installations.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.machine import Machine, base_tree, booted, missing, wheels

pytestmark = pytest.mark.slow

FILM = "/mnt/media/video-h264-6min-tiny.mp4"
DMC = "sudo -u dmc dmc"


@pytest.fixture(scope="module")
def machine(media: Path) -> Iterator[Machine]:
    """With the server installed as docs/install-nas.md says, without a network."""
    if reason := missing():
        pytest.skip(reason)
    try:
        base_tree(), wheels()
    except subprocess.CalledProcessError as problem:
        pytest.skip(f"what the machine is made of cannot be fetched here: {problem.cmd[0]} ended with {problem.returncode}")
    with booted(media) as booted_machine:
        booted_machine.copy_checkout("/root/checkout")
        said = booted_machine.run("checkout/install/server --offline /mnt/wheels --yes")
        assert "Failed" not in said and "--link" in said, said
        yield booted_machine


def add(machine: Machine, file: str, to: str, **options: int) -> str:
    """The id of a new item."""
    more = "".join(f" --set {key}={value}" for key, value in options.items())
    return str(json.loads(machine.run(f"{DMC} broker add {file} --to {to}{more} --json 2>/dev/null"))["item"]["item_id"])


def item(machine: Machine, item_id: str) -> dict[str, object]:
    listed = json.loads(machine.run(f"{DMC} broker list --json 2>/dev/null"))
    return next(one for one in listed["items"] if one["item_id"] == item_id)


def status(machine: Machine, item_id: str) -> object:
    return item(machine, item_id)["status"]


def begun(machine: Machine, crf: int) -> str:
    """A film whose conversion runs: each time with another quality, so that no earlier result is its twin."""
    item_id = add(machine, FILM, "h265", crf=crf)
    machine.until("the conversion runs", lambda: status(machine, item_id) == "in_progress")
    machine.until("a worker works", lambda: len(machine.run("pgrep -u dmc").split()) > 2)
    return item_id


def journal(machine: Machine, unit: str = "dmc-server", more: str = "") -> list[dict[str, str]]:
    return [
        json.loads(line) for line in machine.run(f"journalctl -u {unit} -o json --no-pager {more}").splitlines() if line.startswith("{")
    ]


def ends_once(machine: Machine, item_id: str, unit: str = "dmc-server") -> None:
    machine.until("it has ended", lambda: status(machine, item_id) == "finished_successful", 300)
    ends = [line for line in journal(machine, unit) if item_id in line["MESSAGE"] and "status=finished_successful" in line["MESSAGE"]]
    assert len(ends) == 1, ends


def test_the_server_runs_as_its_user_and_has_its_folders(machine: Machine) -> None:
    assert machine.shown("ActiveState") == "active" and machine.shown("StatusText") == "0 to do, 0 in progress, 0 finished"
    owners = machine.run("stat -c '%U %a %n' /var/lib/dmc /var/lib/dmc/server /run/dmc /var/cache/dmc /etc/dmc/server.toml").splitlines()
    assert owners == [
        *("dmc 750 /var/lib/dmc", "dmc 700 /var/lib/dmc/server", "dmc 755 /run/dmc", "dmc 755 /var/cache/dmc"),
        "root 644 /etc/dmc/server.toml",
    ]
    assert set(machine.run("ps -o user= -C python | sort -u").split()) == {"dmc"}
    assert "accepting" in machine.run(f"{DMC} server ping")


def test_hardening_leaves_the_locked_room_whole_and_conversions_work(machine: Machine) -> None:
    ready = next(line["MESSAGE"] for line in journal(machine) if "workers are ready" in line["MESSAGE"])
    assert 'walls="limits, Landlock, seccomp" missing=""' in ready
    items = [
        add(machine, f"/mnt/media/{file}", to)
        for file, to in {
            "image-jpeg-gps-exif.jpg": "webp",
            "speech-jfk-11s.flac": "opus",
            "video-cinepak-no-audio.avi": "h265",
        }.items()
    ]
    for one in items:
        machine.until("all are converted", lambda one=one: str(status(machine, one)).startswith("finished"), 300)  # type: ignore[misc]
        assert item(machine, one)["outcome"] == "converted"
    assert machine.run(f"{DMC} broker verify")


def test_who_works_at_the_machine_comes_first(machine: Machine) -> None:
    one = begun(machine, 40)
    for pid in machine.run("pgrep -u dmc").split():
        facts = machine.run(f"ionice -p {pid}; ps -o ni= -p {pid}; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/{pid}/status").split()
        assert facts[0] == "idle" and int(facts[1]) >= 10, facts
        assert facts[2:] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]
    ends_once(machine, one)


def test_killed_at_work_nothing_is_left_of_it_and_the_item_ends_once(machine: Machine) -> None:
    one = begun(machine, 41)
    before = set(machine.run("pgrep -u dmc").split())
    machine.run(f"kill -9 {machine.shown('MainPID')}")
    machine.until("it runs again", lambda: machine.shown("SubState") == "running" and machine.shown("MainPID") not in before)
    assert not before & set(machine.run("pgrep -u dmc").split())
    ends_once(machine, one)


def test_frozen_the_watchdog_starts_it_anew_and_the_item_ends_once(machine: Machine) -> None:
    machine.run("mkdir -p /run/systemd/system/dmc-server.service.d")
    machine.run("printf '[Service]\\nWatchdogSec=6\\n' >/run/systemd/system/dmc-server.service.d/short.conf")
    machine.run("systemctl daemon-reload && systemctl restart dmc-server")
    one = begun(machine, 42)
    before = machine.shown("MainPID")
    machine.run(f"kill -STOP {before}")
    machine.until("it runs again", lambda: machine.shown("MainPID") not in ("0", before) and machine.shown("SubState") == "running", 60)
    assert any("Watchdog timeout" in line["MESSAGE"] for line in journal(machine))
    ends_once(machine, one)
    machine.run("rm /run/systemd/system/dmc-server.service.d/short.conf && systemctl daemon-reload && systemctl restart dmc-server")


def test_stopped_at_work_it_puts_back_in_good_order_and_goes_on(machine: Machine) -> None:
    one = begun(machine, 43)
    machine.run("systemctl stop dmc-server")
    assert (machine.shown("Result"), machine.shown("ExecMainStatus")) == ("success", "0")
    assert machine.try_("pgrep -u dmc").stdout == "" and status(machine, one) == "to_do"
    machine.run("systemctl start dmc-server")
    ends_once(machine, one)


def test_wrong_settings_end_it_at_once_and_what_comes_late_is_waited_for(machine: Machine) -> None:
    machine.run("cp /etc/dmc/server.toml . && echo 'listen_on_prt = 1' >>/etc/dmc/server.toml")
    assert machine.try_("systemctl restart dmc-server").returncode != 0
    assert (machine.shown("ActiveState"), machine.shown("NRestarts"), machine.shown("ExecMainStatus")) == ("failed", "0", "2")
    machine.run("cp server.toml /etc/dmc/server.toml && systemd-run --unit=other python3 -m http.server --bind 127.0.0.1 8770")
    machine.until(
        "the port is taken",
        lambda: machine.try_("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8770))'").returncode == 0,
    )
    assert machine.try_("systemctl restart dmc-server").returncode != 0
    machine.until("it tries again", lambda: int(machine.shown("NRestarts")) > 1)
    machine.run("systemctl stop other")
    machine.until("it runs", lambda: machine.shown("ActiveState") == "active")


def test_the_journal_has_priorities_and_no_secrets(machine: Machine) -> None:
    secret = machine.run(f"{DMC} server token create laptop 2>/dev/null")
    machine.run("systemctl restart dmc-server")
    lines = [line for line in journal(machine) if line.get("_COMM") == "python" or line.get("SYSLOG_IDENTIFIER") == "python"]
    told = [line for line in lines if line["MESSAGE"].startswith("level=")]
    priorities = {"info": "6", "warning": "4", "error": "3"}
    assert told and all(line["PRIORITY"] == priorities[re.split("[= ]", line["MESSAGE"])[1]] for line in told)
    assert "listen_on_prt" in machine.run("journalctl -u dmc-server -p err --no-pager -o cat")
    whole = "\n".join(line["MESSAGE"] for line in lines)
    assert secret not in whole and "sign-in=" not in whole and "--link" in whole


def test_the_doctor_finds_nothing_whoever_asks(machine: Machine) -> None:
    assert "warn" not in machine.run(f"{DMC} doctor")
    machine.run("useradd -m -s /bin/bash anna")
    said = machine.run("dmc doctor", user="anna")
    assert "sudo -u dmc dmc doctor" in said and "warn" not in said
    assert "mend: sudo -u dmc dmc doctor" in machine.run("dmc doctor")


def test_a_data_folder_on_another_disk_needs_its_mount_and_returns_with_it(machine: Machine) -> None:
    machine.run("mkdir -p /mnt/big && printf '[Mount]\\nWhat=tmpfs\\nWhere=/mnt/big\\nType=tmpfs\\n' >/etc/systemd/system/mnt-big.mount")
    machine.run("systemctl daemon-reload && systemctl start mnt-big.mount && install -d -o dmc -m 750 /mnt/big/dmc")
    machine.run("cp /etc/dmc/server.toml . && sed -i 's|^data_folder = .*|data_folder = \"/mnt/big/dmc\"|' /etc/dmc/server.toml")
    said = machine.run("dmc server folder add /mnt/big/dmc")
    machine.run(said.partition("Now: ")[2])
    assert machine.shown("ActiveState") == "active" and machine.run("ls /mnt/big/dmc")

    machine.run("systemctl stop mnt-big.mount")
    assert machine.shown("ActiveState") == "inactive" and machine.run("ls -A /mnt/big") == ""
    machine.run("systemctl start mnt-big.mount && install -d -o dmc -m 750 /mnt/big/dmc")
    machine.until("it returns with its disk", lambda: machine.shown("ActiveState") == "active")

    machine.run("umount -l /mnt/big")
    machine.until("it ends with its disk", lambda: machine.shown("ActiveState") == "inactive")
    assert machine.run("ls -A /mnt/big") == ""
    machine.run(machine.run("dmc server folder remove /mnt/big/dmc").partition("Now: ")[2].replace("restart", "stop"))
    assert machine.try_("systemctl is-enabled dmc-server").stdout.strip() == "enabled"
    machine.run("cp server.toml /etc/dmc/server.toml && systemctl restart dmc-server")


def test_the_broker_works_as_a_unit_of_its_own(machine: Machine) -> None:
    machine.run("sed -i '1i broker = \"separate\"' /etc/dmc/server.toml && systemctl restart dmc-server")
    machine.run("systemctl enable --now dmc-broker")
    assert "finished" in machine.shown("StatusText", "dmc-broker")
    one = add(machine, "/mnt/media/image-png-icc-alpha-crashes-side-data.png", "webp")
    machine.until("it is converted", lambda: str(status(machine, one)).startswith("finished"))
    assert "warn" not in machine.run(f"{DMC} doctor")

    machine.run("mkdir -p /run/systemd/system/dmc-broker.service.d")
    machine.run("printf '[Service]\\nWatchdogSec=6\\n' >/run/systemd/system/dmc-broker.service.d/short.conf")
    machine.run("systemctl daemon-reload && systemctl restart dmc-broker")
    one, before, server = begun(machine, 44), machine.shown("MainPID", "dmc-broker"), machine.shown("MainPID")
    machine.run(f"kill -STOP {before}")
    machine.until("it runs again", lambda: machine.shown("MainPID", "dmc-broker") not in ("0", before), 60)
    ends_once(machine, one, "dmc-broker")
    assert machine.shown("MainPID") == server
    machine.run("rm /run/systemd/system/dmc-broker.service.d/short.conf && systemctl daemon-reload && systemctl restart dmc-broker")


def test_a_file_dropped_by_a_user_comes_home(machine: Machine) -> None:
    machine.run(
        f"loginctl enable-linger anna && {DMC} server token create anna 2>/dev/null | install -o anna -m 600 /dev/stdin ~anna/token"
    )
    said = machine.run("checkout/install/client --offline /mnt/wheels --yes")
    assert "Failed" not in said, said
    machine.until("anna has a session", lambda: machine.try_("systemctl --user is-active default.target", user="anna").returncode == 0)
    machine.run("systemctl --user daemon-reload && systemctl --user start dmc-client", user="anna")
    machine.run("mkdir videos && dmc client folder add ~/videos --all", user="anna")
    server = '[[list_of_servers]]\nname = "nas"\naddress = "127.0.0.1"\nport = 8770\ntoken_file = "~/token"\n'
    machine.run("cat >>~/.config/dmc/client.toml", user="anna", given=server.encode())
    machine.run(
        "systemctl --user daemon-reload && systemctl --user restart dmc-client && cp /mnt/media/audio-alac.m4a videos/", user="anna"
    )
    machine.until("it is home", lambda: machine.try_("test -s videos/converted/audio-alac.opus", user="anna").returncode == 0)
    assert machine.run("systemctl --user show -p StatusText --value dmc-client", user="anna") == "watching 1 folder"


def test_a_client_that_requires_a_share_does_not_start_without_it(machine: Machine) -> None:
    mount = "mkdir -p /mnt/share && mount -t tmpfs tmpfs /mnt/share && chown anna /mnt/share"
    machine.run(mount)
    machine.run("dmc client folder add /mnt/share --all --require-mount", user="anna")
    restart = "systemctl --user daemon-reload && systemctl --user restart dmc-client"
    machine.run(restart, user="anna")
    machine.run("systemctl --user stop dmc-client", user="anna")
    machine.run("umount /mnt/share")
    assert "Assertion failed" in machine.try_(restart, user="anna").stderr
    machine.run(mount)
    machine.run(restart, user="anna")


def test_an_upgrade_keeps_the_queue_and_there_is_a_way_back(machine: Machine) -> None:
    one = begun(machine, 45)
    machine.run(f"{DMC} broker pause")
    assert status(machine, one) == "in_progress"
    before = machine.run("dmc --version")
    machine.run("cp -r checkout newer && sed -i 's/^version = .*/version = \"7.1.0\"/' newer/pyproject.toml")
    machine.run("sed -i 's/^__version__ = .*/__version__ = \"7.1.0\"/' newer/dmc/__init__.py")
    brokers = machine.shown("MainPID", "dmc-broker")
    machine.run("newer/install/server --offline /mnt/wheels --yes")
    assert machine.run("dmc --version") == "dmc 7.1.0" and status(machine, one) == "to_do"
    assert machine.shown("ActiveState") == "active" and machine.shown("MainPID", "dmc-broker") not in ("0", brokers)
    machine.run("newer/install/server --rollback --yes")
    assert machine.run("cd newer && dmc --version") == before and machine.shown("ActiveState") == "active"
    machine.run(f"{DMC} broker resume")
    ends_once(machine, one, "dmc-broker")


def test_taken_away_nothing_runs_and_with_purge_nothing_is_left(machine: Machine) -> None:
    machine.run("/opt/dmc/install/uninstall client --yes")
    assert machine.try_("pgrep -u anna python").stdout == ""
    machine.run("echo purge | /opt/dmc/install/uninstall server --yes --purge")
    assert machine.try_("pgrep -u dmc python || id dmc").returncode != 0
    assert "could not be found" in machine.try_("systemctl status dmc-server dmc-broker").stderr
    left = machine.run(
        "find / -xdev \\( -name 'dmc*' -o -name folders.conf \\) ! -path '/root/*' ! -path '/home/*' ! -path '/proc/*' ! -path '/tmp/*'"
    )
    assert left == ""
