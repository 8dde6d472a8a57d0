"""Tokens, sign-in codes and sessions, without a server."""

import json
import stat
from pathlib import Path

import pytest

from dmc.clock import ManualClock
from dmc.errors import BadSettings, NotFound, UsageFault, WrongStatus
from dmc.files import RealDisk
from dmc.server.tokens import SESSION_VALID_S, Scope, Tokens


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(tmp_path: Path, clock: ManualClock) -> Tokens:
    return Tokens(tmp_path / "tokens.json", disk=RealDisk(), clock=clock)


def test_a_secret_finds_its_token_and_stands_nowhere(tokens: Tokens, tmp_path: Path) -> None:
    secret = tokens.create("laptop", ["read"], client_id="anna")
    found = tokens.find(secret)
    assert found is not None
    assert (found.name, found.client_id, found.scopes) == ("laptop", "anna", {Scope.READ})
    assert tokens.find(secret + "x") is None
    assert tokens.find("") is None
    text = (tmp_path / "tokens.json").read_text()
    assert secret not in text
    assert secret.removeprefix("dmc_") not in text


def test_only_the_owner_can_read_the_file(tokens: Tokens, tmp_path: Path) -> None:
    tokens.create("laptop")
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600


def test_secrets_are_long_and_all_different(tokens: Tokens) -> None:
    secrets = {tokens.create(f"n{n}") for n in range(20)}
    assert len(secrets) == 20
    assert min(map(len, secrets)) >= 4 + 43


def test_names_are_unique_and_scopes_are_known(tokens: Tokens) -> None:
    tokens.create("laptop")
    with pytest.raises(WrongStatus):
        tokens.create("laptop")
    with pytest.raises(UsageFault, match="'write'"):
        tokens.create("phone", ["wirte"])
    for name in ("", "new\nline"):
        with pytest.raises(UsageFault):
            tokens.create(name)


def test_a_revoked_token_is_gone_with_its_sessions(tokens: Tokens) -> None:
    secret = tokens.create("laptop")
    opened = tokens.open_session(secret)
    assert opened is not None
    assert tokens.session(opened[0]) is not None
    tokens.revoke("laptop")
    assert tokens.find(secret) is None
    assert tokens.session(opened[0]) is None
    with pytest.raises(NotFound):
        tokens.revoke("laptop")


def test_a_sign_in_code_works_once_and_not_for_ever(tokens: Tokens, clock: ManualClock) -> None:
    tokens.create("laptop")
    code = tokens.sign_in_code("laptop")
    opened = tokens.sign_in(code)
    assert opened is not None
    assert opened[1].name == "laptop"
    assert tokens.sign_in(code) is None
    late = tokens.sign_in_code("laptop", valid_s=60)
    clock.advance(61)
    assert tokens.sign_in(late) is None
    with pytest.raises(NotFound):
        tokens.sign_in_code("nobody")


def test_a_session_ends_by_itself_and_by_signing_out(tokens: Tokens, clock: ManualClock) -> None:
    secret = tokens.create("laptop")
    first, second = tokens.open_session(secret), tokens.open_session(secret)
    assert first is not None
    assert second is not None
    tokens.end_session(first[0])
    assert tokens.session(first[0]) is None
    assert tokens.session(second[0]) is not None
    clock.advance(SESSION_VALID_S + 1)
    assert tokens.session(second[0]) is None


def test_another_process_sees_what_changed(tokens: Tokens, tmp_path: Path, clock: ManualClock) -> None:
    other = Tokens(tmp_path / "tokens.json", disk=RealDisk(), clock=clock)
    secret = tokens.create("laptop")
    assert other.find(secret) is None
    other.refresh()
    assert other.find(secret) is not None
    other.create("phone")
    assert [token.name for token in tokens.list()] == ["laptop", "phone"]


def test_the_last_use_is_noted_once_an_hour(tokens: Tokens, clock: ManualClock) -> None:
    tokens.create("laptop")
    assert tokens.needs_note(tokens.list()[0])
    tokens.note_use("laptop")
    assert tokens.list()[0].last_used_at is not None
    assert not tokens.needs_note(tokens.list()[0])
    clock.advance(3601)
    assert tokens.needs_note(tokens.list()[0])


@pytest.mark.parametrize(
    ("newer", "words"),
    [
        ({"schema_number": 2, "tokens": "another way"}, r"a newer dmc \(schema 2, this one knows 1\)"),
        ({"schema_number": 2, "tokens": []}, r"a newer dmc \(schema 2, this one knows 1\)"),
        ({"schema_number": 1, "bans": [], "tokens": []}, "a newer dmc: it holds bans, which this one does not know"),
    ],
)
def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(
    tmp_path: Path, clock: ManualClock, newer: dict[str, object], words: str
) -> None:
    """What a newer version notes of a token may bound what it is good for, so nothing of it is passed over."""
    (tmp_path / "tokens.json").write_text(json.dumps(newer))
    with pytest.raises(BadSettings, match=words) as refused:
        Tokens(tmp_path / "tokens.json", disk=RealDisk(), clock=clock)
    assert refused.value.hint == "Update dmc."
    assert json.loads((tmp_path / "tokens.json").read_text()) == newer


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_number": "two"}', '{"schema_number": 1, "tokens": 3, "bans": []}'])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, clock: ManualClock, text: str) -> None:
    (tmp_path / "tokens.json").write_text(text)
    with pytest.raises(BadSettings, match=r"tokens\.json cannot be read"):
        Tokens(tmp_path / "tokens.json", disk=RealDisk(), clock=clock)
