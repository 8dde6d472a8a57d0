"""The doctor finds what is wrong, says why it matters and how to mend it; its bundle holds nothing of anybody's own."""

import json
import os
import pwd
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dmc.cli import checks, checks_machine, checks_servers
from dmc.cli.bundle import line_of_log, plain
from dmc.cli.finding import Check
from dmc.cli.main import run
from dmc.client.survey import Survey, skew_of
from dmc.client_settings import ClientSettings, KnownServer
from dmc.errors import ServerUnreachable, SignInNeeded
from dmc.server_settings import ServerSettings
from tests.server.certificates import certificate


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMC_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def _wrong(found: list[Check]) -> list[Check]:
    wrong = [check for check in found if check.state != "ok"]
    assert all(check.why and check.message.endswith(".") for check in wrong), wrong
    return wrong


def test_a_folder_of_others_or_open_to_all_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my data"
    folder.mkdir(mode=0o700)
    folder.chmod(0o700)
    assert _wrong(list(checks.check_folder("data folder", folder))) == []
    folder.chmod(0o755)
    (one,) = _wrong(list(checks.check_folder("data folder", folder)))
    assert one.fix == f"chmod o-rwx '{folder}'"
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd(("erna", "x", uid, uid, "", "/home/erna", "/bin/sh")))
    (one,) = _wrong(list(checks.check_folder("data folder", folder)))
    owner = folder.stat().st_uid
    assert "belongs to user" in one.message
    # A service's folder is never taken from it.
    assert one.fix == ("sudo -u erna dmc doctor" if owner else f"sudo chown -R $(id -un) '{folder}'")


def test_the_folder_of_a_service_is_left_to_its_own_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "closed" / "server"
    folder.mkdir(parents=True)
    assert checks.check_closed("data folder", folder) is None
    stat = Path.stat

    def theirs(path: Path, **more: bool) -> os.stat_result:
        if path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        found = list(stat(path, **more))
        return os.stat_result([*found[:4], 4711, *found[5:]] if path == folder.parent else found)

    monkeypatch.setattr(Path, "stat", theirs)
    monkeypatch.setattr(os, "access", lambda path, _: path != folder.parent)
    closed = checks.check_closed("data folder", folder)
    assert closed is not None and closed.state == "ok" and "sudo -u '#4711' dmc doctor" in closed.message


def test_a_share_is_no_place_for_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_kind("data folder mount", tmp_path).state == "ok"
    monkeypatch.setattr(checks, "is_polled", lambda _: True)
    (one,) = _wrong([checks.check_kind("data folder mount", tmp_path)])
    assert "network share" in one.message
    monkeypatch.setattr(checks, "network_kind", lambda _: "nfs4")
    assert checks.check_kind("state folder mount", tmp_path).state == "warn"
    (one,) = _wrong([checks.check_kind("data folder mount", tmp_path, refused=True)])
    assert one.state == "bad" and "(nfs4)" in one.message


@pytest.mark.parametrize(("most", "folders", "state"), [("100", 100, "ok"), ("100", 101, "warn"), (None, 1, "warn")])
def test_the_kernels_watches_are_counted_against_folders(tmp_path: Path, most: str | None, folders: int, state: str) -> None:
    if most is not None:
        (tmp_path / "limit").write_text(most)
    found = checks_machine.check_inotify(folders, tmp_path / "limit")
    assert found.state == state and ("sysctl" in found.fix) == (state == "warn" and most is not None)


def test_a_clock_that_went_back_is_found_by_what_dmc_wrote(tmp_path: Path) -> None:
    (tmp_path / "broker.json").touch()
    written = (tmp_path / "broker.json").stat().st_mtime
    assert checks_machine.check_clock([tmp_path, tmp_path / "none"], written + 5).state == "ok"
    (one,) = _wrong([checks_machine.check_clock([tmp_path], written - 3600)])
    assert "60 minutes" in one.message


def test_encoders_that_are_not_here_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _wrong(list(checks_machine.check_codecs())) == []
    monkeypatch.setattr("dmc.convert.codecs.av.codecs_available", {"libx264"})
    (one,) = _wrong(list(checks_machine.check_codecs()))
    assert one.state == "bad" and "h265 (libx265)" in one.message and "h264 (libx264)" not in one.message


def test_walls_that_are_missing_are_findings() -> None:
    assert {check.state for check in checks_machine.check_sandbox("off")} == {"ok", "warn"}
    assert all("best-effort" in check.fix for check in _wrong(list(checks_machine.check_sandbox("off"))))


@pytest.mark.parametrize(("state", "verdict"), [("active", "ok"), ("failed", "bad"), ("inactive", "warn"), ("", "warn")])
def test_a_service_is_looked_at_where_one_is_installed(home: Path, monkeypatch: pytest.MonkeyPatch, state: str, verdict: str) -> None:
    monkeypatch.setattr(checks_machine, "SYSTEM_UNITS", home / "none")
    monkeypatch.setattr(checks_machine, "EVERYBODYS_UNITS", home / "all")
    assert list(checks_machine.check_services(separate_broker=True)) == []
    units = home / "config/systemd/user"
    units.mkdir(parents=True)
    (units / "dmc-client.service").touch()
    monkeypatch.setattr(checks_machine, "_state", lambda _: state)
    (units / "dmc-broker.service").touch()
    (one,) = checks_machine.check_services(separate_broker=False)
    assert one.state == verdict and (verdict == "ok" or "systemctl --user" in one.fix)
    assert len(list(checks_machine.check_services(separate_broker=True))) == 2
    units.rename(home / "all")
    assert len(list(checks_machine.check_services(separate_broker=True))) == (2 if state else 0)


def test_an_open_address_wants_tls_or_a_proxy() -> None:
    def state(**fields: object) -> str:
        return checks_servers.check_bind(ServerSettings.model_validate({"listen_on_address": "0.0.0.0", **fields})).state

    assert (state(), state(tls="self-made"), state(trusted_proxies=["10.0.0.1"])) == ("warn", "ok", "ok")
    assert checks_servers.check_bind(ServerSettings()).state == "ok"


def test_secrets_are_there_and_for_this_user_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    client = ClientSettings(list_of_servers=(KnownServer(token_file=token),))
    (one,) = _wrong(list(checks_servers.check_tokens(ServerSettings(), client)))
    assert one.state == "bad" and "dmc server token create" in one.fix
    token.touch(mode=0o600)
    assert _wrong(list(checks_servers.check_tokens(ServerSettings(), client))) == []
    token.chmod(0o644)
    (one,) = _wrong(list(checks_servers.check_tokens(ServerSettings(), client)))
    assert one.fix == f"chmod 600 {token}"


def test_a_certificate_is_looked_at_before_it_ends(tmp_path: Path) -> None:
    made = certificate(tmp_path, "given")  # Good for two days.
    settings = ServerSettings(tls_certificate=made.certificate, tls_key=made.key)
    day = 86400.0

    def state(in_days: float) -> list[str]:
        return [one.state for one in checks_servers.check_certificate(settings, time.time() + in_days * day)]

    assert list(checks_servers.check_certificate(ServerSettings())) == [], "nothing without TLS"
    assert (state(-30), state(0), state(3)) == (["ok"], ["warn"], ["bad"])
    (one,) = _wrong(list(checks_servers.check_certificate(settings)))
    assert "good until" in one.message and str(made.certificate) in one.fix
    made.certificate.write_text("nothing")
    (one,) = _wrong(list(checks_servers.check_certificate(settings)))
    assert one.state == "warn" and "cannot be read" in one.message


def test_the_certificate_made_here_is_looked_at_too(tmp_path: Path) -> None:
    settings = ServerSettings(tls="self-made", data_folder=tmp_path / "data")
    assert [one.state for one in checks_servers.check_certificate(settings)] == ["ok"], "it is made at the start"
    (tmp_path / "data/tls").mkdir(parents=True)
    certificate(tmp_path, "made").certificate.rename(tmp_path / "data/tls/certificate.pem")
    (one,) = _wrong(list(checks_servers.check_certificate(settings)))
    assert one.state == "warn" and "pair the clients again" in one.fix


SURVEYS = {
    "well": (Survey("nas", True, signed_in=True, skew_s=-3.0), []),
    "away": (Survey("nas", False, ServerUnreachable("nas does not answer.")), ["warn"]),
    "unknown token": (Survey("nas", False, SignInNeeded("no.")), ["bad"]),
    "no token": (Survey("nas", False), ["bad"]),
    "wrong clock": (Survey("nas", False, signed_in=True, skew_s=3600.0), ["warn"]),
    "small proxy": (Survey("nas", False, signed_in=True, between="1.1 nginx", refuses_large=True), ["bad"]),
}


@pytest.mark.parametrize("case", SURVEYS)
def test_the_way_to_a_server_is_judged(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, states = SURVEYS[case]
    monkeypatch.setattr("dmc.assemble.client.survey_servers", lambda _: [found])
    wrong = _wrong(list(checks_servers.check_servers(ClientSettings())))
    assert [one.state for one in wrong] == states and all(one.fix for one in wrong)


def test_skew_is_told_to_the_second_and_not_by_how_long_the_question_took() -> None:
    asked = datetime(2026, 5, 1, 12, 0, 0, 600_000, tzinfo=UTC)
    answered = asked + timedelta(seconds=3)
    assert skew_of("Fri, 01 May 2026 12:00:02 GMT", asked, answered) == 0.0
    assert skew_of("Fri, 01 May 2026 12:00:00 GMT", asked, answered) == 0.0, "a Date is cut to whole seconds"
    assert skew_of("Fri, 01 May 2026 13:00:03 GMT", asked, answered) == pytest.approx(3599.4)
    assert skew_of("Fri, 01 May 2026 11:00:00 GMT", asked, answered) == pytest.approx(-3599.6)
    assert skew_of("yesterday", asked, answered) is None


SECRETS = ["Wedding", "Müller", "nas.example.org", "dmc_secret", "hooks.example.org", "tante-erna", "holiday.mov"]


@pytest.fixture
def lived_in(home: Path) -> Iterator[Path]:
    """A home with names of people and places in every corner."""
    inbox = home / "Wedding Müller"
    inbox.mkdir()
    (inbox / "holiday.mov").touch()
    (home / "token").write_text("dmc_secret")
    (home / "secret").write_text("dmc_secret")
    (home / "server.toml").write_text(
        f"allowed_hosts = ['nas.example.org']\n[hook]\ncommand = ['/opt/tante-erna', 'Müller']\n"
        f"[[webhooks]]\nurl = 'https://hooks.example.org/x'\nsecret_file = {str(home / 'secret')!r}\n"
        f"[conversion_types.tante-erna]\nbase = 'h265'\n"
    )
    (home / "client.toml").write_text(
        f"[[list_of_paths_to_observe]]\npath = {str(inbox)!r}\nignore = ['Müller*']\n"
        f"[[list_of_paths_to_observe]]\npath = {str(home / 'gone Wedding')!r}\n"
        f"[[list_of_servers]]\nname = 'tante-erna'\naddress = 'nas.example.org'\nport = 1\ntoken_file = {str(home / 'token')!r}\n"
    )
    (home / "up.log").write_text(
        'ts=2026-05-01T10:00:00.000Z level=info room=client event=taken name="holiday.mov" bytes=12 to=h265\n'
        'ts=2026-05-01T10:00:01.000Z level=error room=client event=fault fault="no /srv/Wedding/x" client=tante-erna trace="Müller\\n"\n'
        "Traceback: Wedding\n"
    )
    yield home


def test_the_bundle_holds_nothing_of_anybodys_own(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whoever runs this may be called, and call the machine, like one of our own words, which are told.
    monkeypatch.setenv("HOME", "/home/erna-m")
    monkeypatch.setattr("platform.node", lambda: "ernas-laptop")
    away = Survey("tante-erna", False, ServerUnreachable("nas.example.org:1 does not answer."))
    monkeypatch.setattr("dmc.assemble.client.survey_servers", lambda _: [away])
    run(["add", str(lived_in / "Wedding Müller" / "holiday.mov"), "--to", "h265"])
    assert run(["doctor", "--bundle", str(lived_in / "help.json")]) == 1
    text = (lived_in / "help.json").read_text()
    for secret in [*SECRETS, str(lived_in), lived_in.name, "erna-m", "ernas-laptop"]:
        assert json.dumps(secret)[1:-1] not in text and secret not in text, secret
    told = json.loads(text)
    assert told["schema"] == "dmc.support/1"
    assert {"dmc", "python", "libavcodec", "kernel"} <= set(told["versions"])
    assert told["settings"]["server"]["listen_on_port"] == 8770 and told["settings"]["server"]["limits"]["max_file_size"] > 0
    assert {"folder", "server", "data folder", "codecs"} <= {check["name"] for check in told["checks"]}
    assert any("is not there" in check["message"] for check in told["checks"]), "the sentence itself stays"
    assert told["log"][0] == "ts=2026-05-01T10:00:00.000Z level=info room=client event=taken name=... bytes=12 to=h265"
    assert "Look at it before" in capsys.readouterr().err


def test_sentences_lose_paths_also_those_of_no_setting() -> None:
    assert plain("cannot read /srv/me/x.mov: no.", []) == "cannot read <path> no."
    assert plain("~/a and ../b and https://x.y/z", []) == "<path> and <path> and <path>"
    assert plain("my nas is off", ["nas"]) == "my <...> is off" and plain("nasty", ["nas"]) == "nasty"


def test_lines_of_another_form_are_left_out() -> None:
    assert line_of_log("10:00:00 info client taken holiday.mov") == ""


def test_what_is_wrong_comes_first_with_why_and_how_to_mend(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "client.toml").write_text(f"[[list_of_paths_to_observe]]\npath = {str(home / 'gone')!r}\n")
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(" bad  folder") and "Nothing is taken" in lines[1] and lines[2].startswith("      mend: ")
    (home / "gone").mkdir()
    assert run(["doctor"]) == 0
