"""The command line against a real server: what it prints, and how it ends."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.journeys.household import Household, household, tone, wait_for

SAMPLE = Path(__file__).parents[2] / "dmc/sample/nasa.mp4"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("home")) as made:
        made.start_server()
        yield made


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Household]:
    """A household whose server is off."""
    with household(tmp_path / "away") as made:
        yield made


def _document(words: str) -> dict[str, Any]:
    return dict(json.loads(words.splitlines()[-1]))


def test_a_file_that_is_added_waits_for_its_download(house: Household, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(tone(2))
    record = _document(house.dmc("add", str(tmp_path / "talk.wav"), "--to", "mp3", "--wait", "--json"))["record"]
    assert record["status"] == "finished_successful" and record["outcome"] == "converted"
    listed = _document(house.dmc("status", record["id"][:13], "--json"))["records"]
    assert [one["item_id"] for one in listed] == [record["item_id"]]
    target = Path(_document(house.dmc("download", record["item_id"], "-o", str(tmp_path), "--json"))["target"])
    assert target == tmp_path / "talk.mp3" and target.stat().st_size == record["result"]["file_size"]
    assert _document(house.dmc("status", record["id"], "--json"))["records"][0]["status"] == "acknowledged"
    lines = house.dmc("receipt", record["item_id"]).splitlines()
    assert lines[0].startswith("converted: talk.wav") and 3 <= len(lines) <= 8


def test_a_file_that_fails_ends_with_9_and_says_why(house: Household, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(1000))
    said = house.run("add", str(tmp_path / "bad.mp4"), "--wait")
    assert said.returncode == 9 and "error: bad.mp4" in said.stderr


def test_what_is_no_media_is_refused_at_once(house: Household, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert house.run("add", str(tmp_path / "notes.txt")).returncode == 9
    assert house.run("add", str(tmp_path / "nowhere.mp4")).returncode == 5


@pytest.mark.parametrize("command", ["convert", "convert --dry-run", "plan", "add", "broker add"])
def test_a_conversion_type_that_there_is_not_ends_with_2_and_one_that_does_not_fit_with_9(
    house: Household, command: str, tmp_path: Path
) -> None:
    shutil.copy(SAMPLE, tmp_path / "clip.mp4")
    said = house.run(*command.split(), str(tmp_path / "clip.mp4"), "--to", "h266")
    assert said.returncode == 2 and said.stderr.count("h266") == 1 and "Did you mean" in said.stderr
    said = house.run(*command.split(), str(tmp_path / "clip.mp4"), "--to", "webp")
    if command in ("plan", "convert --dry-run"):
        assert said.returncode == 0 and "refuse" in said.stdout
    else:
        assert said.returncode == 9 and "webp is made from image" in said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_without_a_server_a_file_is_queued_and_that_is_success(away: Household, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / "clip.mp4")
    said = away.run("add", str(tmp_path / "clip.mp4"))
    assert said.returncode == 0 and "dmc client sync" in said.stderr
    assert _document(away.dmc("status", "--json"))["records"][0]["status"] == "waiting"
    assert away.run("add", str(tmp_path / "clip.mp4"), "--no-queue").returncode == 7
    assert away.run("server", "ping").returncode == 7
    said = away.run("client", "sync")
    assert said.returncode == 0 and "1 file waits in the outbox" in said.stderr
    away.start_server()
    away.dmc("client", "sync")
    wait_for("the item", away.items)
    assert _document(away.dmc("status", "--json"))["records"][0]["status"] not in {"waiting", "uploading"}


def test_printed_sign_in_links_lead_below_the_base_path(tmp_path: Path) -> None:
    with household(tmp_path / "home", server_settings='base_path = "/dmc"') as house:
        house.start_server()
        log = house.home / "server-run.out.log"
        printed = wait_for("the link", lambda: re.search(r"^(http://\S+)#sign-in=(\S+)$", log.read_text(), re.M))
        made = re.fullmatch(r"(http://\S+)#sign-in=(\S+)\n", house.dmc("server", "token", "create", "me", "--scopes", "admin", "--link"))
        assert made
        for page, code in (printed.groups(), made.groups()):
            assert page == f"http://127.0.0.1:{house.port}/dmc/"
            with urlopen(page) as reply:
                assert b'src="/dmc/web/' in reply.read(), "the page asks for everything below the path"
            asked = Request(f"{page}api/v1/session", json.dumps({"code": code}).encode(), {"Content-Type": "application/json"})
            with urlopen(asked) as reply:
                cookie = reply.headers["Set-Cookie"]
            assert "Path=/dmc" in cookie, "and this is what a browser sends it with"
            with urlopen(Request(f"{page}api/v1/statistics", headers={"Cookie": cookie.partition(";")[0]})) as reply:
                assert reply.status == 200


def test_a_waiting_file_can_be_cancelled_and_sent_again(away: Household, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / "clip.mp4")
    name = away.dmc("add", str(tmp_path / "clip.mp4")).split()[0]
    away.dmc("cancel", name)
    assert _document(away.dmc("status", "--json"))["records"][0]["status"] == "parked"
    assert away.run("cancel", name).returncode == 6
    away.dmc("retry", name)
    assert _document(away.dmc("status", "--json"))["records"][0]["status"] == "waiting"


def test_another_server_at_a_known_address_is_trusted_only_when_told_so(away: Household) -> None:
    server = away.start_server()
    away.drop("first.wav", tone(1))
    away.dmc("client", "sync")
    server.terminate()
    server.wait()
    (away.data / "instance.json").unlink()
    away.start_server()
    away.drop("tone.wav", tone(1))
    assert "in the outbox" in away.run("client", "sync").stderr
    assert len(away.items()) == 1
    assert away.run("client", "trust", "elsewhere").returncode == 5
    away.dmc("client", "trust", f"127.0.0.1:{away.port}")
    away.dmc("client", "sync")
    assert len(away.items()) == 2


def test_unknown_items_end_with_5(house: Household) -> None:
    for command in ("cancel", "retry", "receipt", "status", "download"):
        assert house.run(command, "ffff").returncode == 5, command


def test_a_token_that_is_unknown_ends_with_4(house: Household, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("dmc_wrong")
    settings = tmp_path / "client.toml"
    text = (house.home / "client.toml").read_text().replace(str(house.home / "token"), str(tmp_path / "token"))
    settings.write_text(text.replace(str(house.inbox), str(tmp_path)))
    (tmp_path / "talk.wav").write_bytes(tone(1))
    record = _document(house.dmc("add", str(tmp_path / "talk.wav"), "--json"))["record"]
    wait_for("the item", lambda: _document(house.dmc("status", record["id"], "--json"))["records"][0]["item_id"])
    assert house.run("cancel", record["id"], "--config", str(settings)).returncode == 4


def test_tokens_are_made_listed_and_revoked(house: Household) -> None:
    secret = house.dmc("server", "token", "create", "laptop").strip()
    assert len(secret) > 30
    assert house.run("server", "token", "create", "laptop").returncode == 6
    listed = house.dmc("server", "token", "list", "--json")
    assert secret not in listed and {"laptop", "household"} <= {t["name"] for t in _document(listed)["tokens"]}
    house.dmc("server", "token", "revoke", "laptop")
    assert house.run("server", "token", "revoke", "laptop").returncode == 5


def test_the_server_tells_who_it_is(house: Household) -> None:
    document = _document(house.dmc("server", "ping", "--json"))
    assert document["schema"] == "dmc.ping/1" and document["service"] == "dmc" and document["accepting"] is True


def test_the_operator_adds_lists_and_verifies(house: Household, tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(tone(1))
    item = _document(house.dmc("broker", "add", str(tmp_path / "tone.wav"), "--json"))["item"]
    wait_for("its end", lambda: any(i["item_id"] == item["item_id"] and i["status"] == "finished_successful" for i in house.items()))
    assert _document(house.dmc("broker", "verify", "--json"))["ok"] is True
    assert house.run("broker", "list", "--status", "todo").returncode == 2
    first = _document(house.dmc("broker", "list", "--json", "--limit", "1"))["items"]
    rest = _document(house.dmc("broker", "list", "--json", "--after", first[0]["item_id"]))["items"]
    assert first[0]["item_id"] not in {i["item_id"] for i in rest}


def test_a_second_broker_is_refused(house: Household) -> None:
    said = house.run("broker", "run")
    assert said.returncode == 6 and "Traceback" not in said.stderr


def test_the_queue_is_paused_and_resumed_from_another_process(house: Household, tmp_path: Path) -> None:
    house.dmc("broker", "pause")
    (tmp_path / "tone.wav").write_bytes(tone(1))
    item = _document(house.dmc("broker", "add", str(tmp_path / "tone.wav"), "--json"))["item"]["item_id"]
    status = _document((house.data / "broker.json").read_text())
    wait_for("the pause", lambda: _document((house.data / "broker.json").read_text())["mode"] == "pause")
    assert status["pid"] > 0
    assert next(i["status"] for i in house.items() if i["item_id"] == item) == "to_do"
    house.dmc("broker", "resume")
    wait_for("its end", lambda: next(i["status"] for i in house.items() if i["item_id"] == item) == "finished_successful")


def test_converting_here_needs_no_server_and_replaces_nothing(house: Household, tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(tone(1))
    (tmp_path / "tone.opus").write_bytes(b"mine")
    assert house.dmc("convert", str(tmp_path / "tone.wav")).startswith(str(tmp_path / "tone.wav.opus"))
    assert (tmp_path / "tone.opus").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tone.opus", "tone.wav", "tone.wav.opus"]
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVE")
    assert house.run("convert", str(tmp_path / "bad.wav")).returncode == 9
    assert house.run("convert", str(tmp_path / "bad.wav"), str(tmp_path / "tone.wav")).returncode == 3
    assert house.run("convert", str(tmp_path / "none.wav")).returncode == 5
    assert house.run("convert", str(tmp_path / "tone.wav"), "--set", "crf").returncode == 2


def test_results_go_into_a_folder_that_is_named_from_where_one_stands(house: Household, tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(tone(1))
    (tmp_path / "out").mkdir()
    house.dmc("convert", str(tmp_path / "tone.wav"), "--output", os.path.relpath(tmp_path / "out"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["tone.opus"]


def test_probe_and_plan_touch_nothing(house: Household, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / "clip.mp4")
    before = sorted(p.name for p in tmp_path.iterdir())
    facts = _document(house.dmc("probe", str(tmp_path / "clip.mp4"), "--json"))
    assert facts["media_type"] == "video" and len(facts["streams"]) == 6
    plan = _document(house.dmc("plan", str(tmp_path), "--to", "mkv", "--json"))
    (one,) = plan["files"]
    assert one["outcome"] == "convert" and all(stream["reason"] for stream in one["streams"])
    assert "copy" in house.dmc("plan", str(tmp_path / "clip.mp4"), "--to", "mkv")
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert house.run("plan", str(tmp_path / "none.mp4")).returncode == 5


def test_the_doctor_looks_at_everything(house: Household) -> None:
    document = _document(house.dmc("doctor", "--json", expect=None))
    names = {check["name"] for check in document["checks"]}
    assert {"data folder", "state folder", "disk space", "address", "inotify", "sandbox", "clock", "codecs"} <= names
    (server,) = [check for check in document["checks"] if check["name"].startswith("server ")]
    assert server["state"] == "ok" and server["message"] == "it answers."
    assert all(check["state"] in {"ok", "warn", "bad"} and check["message"] for check in document["checks"])


def test_a_wrong_setting_ends_with_2_whatever_the_command(away: Household) -> None:
    (away.home / "server.toml").write_text("listen_on_prot = 1\n")
    for command in (["server", "run"], ["broker", "list"], ["up", str(away.inbox)], ["doctor"]):
        said = away.run(*command)
        assert said.returncode == 2 and "Did you mean 'listen_on_port'?" in said.stderr, command


def test_folder_test_tells_what_would_be_taken(house: Household, tmp_path: Path) -> None:
    for name in ("a.mp4", ".hidden.mp4", "b.txt", "converted/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    files = _document(house.dmc("client", "folder", "test", str(tmp_path), "--json"))["files"]
    assert files == [{"file": str(tmp_path / "a.mp4"), "conversion_type": "h265"}]
