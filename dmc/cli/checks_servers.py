"""What `dmc doctor` asks about the way between clients and servers: address, TLS, tokens, clocks, proxies."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dmc.cli.finding import Check
from dmc.client_settings import ClientSettings
from dmc.errors import BadSettings, SignInNeeded
from dmc.server_settings import ServerSettings

LOCAL_ADDRESSES = ("127.0.0.1", "::1", "localhost")
SKEW_S = 60.0
SOON_DAYS = 14
"""Left of a given certificate; who renews by a program does so a month before its end."""
_ASK_S = 10.0


def check_bind(settings: ServerSettings) -> Check:
    """Whether the server is open to more than this machine, and then whether what it hears is private."""
    here = settings.listen_on_address
    if here in LOCAL_ADDRESSES:
        return Check("address", "ok", f"the server listens on {here} only.")
    if settings.scheme == "https":
        return Check("address", "ok", f"the server listens on {here} with TLS.")
    if settings.trusted_proxies:
        return Check("address", "ok", f"the server listens on {here}, behind a proxy that the settings name.")
    fix = 'Set tls = "self-made" in server.toml, or put a proxy with TLS in front and name it in trusted_proxies.'
    return Check("address", "warn", f"the server listens on {here} without TLS.", fix, "Tokens and files can be read on the way.")


def check_tokens(server: ServerSettings, client: ClientSettings) -> Iterator[Check]:
    """Whether files that hold secrets are there, and for this user alone."""
    files = [("token file", known.token_file) for known in client.list_of_servers]
    files += [("TLS key", server.tls_key), *(("webhook secret", hook.secret_file) for hook in server.webhooks)]
    for name, file in files:
        if file is not None:
            yield _check_secret(name, file)


def _check_secret(name: str, file: Path) -> Check:
    try:
        mode = file.stat().st_mode
        with file.open("rb"):
            pass
    except OSError as problem:
        fix = (
            "Make a new token on the server: dmc server token create NAME"
            if name == "token file"
            else "Put it there, readable by this user."
        )
        return Check(name, "bad", f"{file} cannot be read: {problem.strerror}.", fix, "Who needs it is let in nowhere.")
    if mode & 0o077:
        return Check(name, "warn", f"{file} can be read by others.", f"chmod 600 {file}", "Whoever reads it is taken for this client.")
    return Check(name, "ok", f"{file} is for this user alone.")


def check_certificate(settings: ServerSettings, now: float | None = None) -> Iterator[Check]:
    """Whether the server's certificate is still good for a while, a given one or the one made here; nothing without TLS."""
    from dmc.server.tls import FOLDER, RENEW_DAYS

    if settings.scheme != "https":
        return
    made, name = settings.tls_certificate is None, "certificate"
    file = settings.tls_certificate or settings.data_folder / FOLDER / "certificate.pem"
    if made and not file.exists():
        yield Check(name, "ok", "it is made when the server starts.")
        return
    end = _end_of(file)
    if end is None:
        why = "When it is over, clients refuse the server without a warning before."
        yield Check(
            name, "warn", f"the end of {file} cannot be read.", "Install openssl, and see: openssl x509 -noout -enddate -in FILE", why
        )
        return
    left, day = (end - (time.time() if now is None else now)) / 86400, f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    fix = "Restart the server, which makes a new one; then pair the clients again." if made else f"Renew {file}, then restart the server."
    if left <= 0:
        yield Check(name, "bad", f"it was good until {day}.", fix, "Clients refuse the server; their files wait in the outbox.")
    elif left <= (RENEW_DAYS if made else SOON_DAYS):
        yield Check(name, "warn", f"it is good until {day}, {left:.0f} days more.", fix, "Then clients refuse the server.")
    else:
        yield Check(name, "ok", f"it is good until {day}.")


def _end_of(certificate: Path) -> float | None:
    """When a certificate (PEM) ends, as a Unix time; None where that cannot be told."""
    program = shutil.which("openssl")
    if program is None:
        return None
    command = [program, "x509", "-noout", "-enddate", "-in", str(certificate)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=True).stdout  # noqa: S603 - our own argv
        return float(ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter=")))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def check_servers(settings: ClientSettings) -> Iterator[Check]:
    """How each server of the client's settings is reached now."""
    from dmc.assemble.client import survey_servers

    try:
        found = survey_servers(settings)
    except BadSettings:
        return  # A token file; it has a finding of its own.
    for one in found:
        name = f"server {one.server}"
        if isinstance(one.problem, SignInNeeded) or (one.problem is None and not one.signed_in):
            fix = "Pair again: dmc client pair ADDRESS CODE, with the code of the server's page."
            yield Check(name, "bad", "it does not know this client's token.", fix, "Files wait in the outbox until it does.")
            continue
        if one.problem is not None:
            why = "Files wait in the outbox; nothing is lost."
            yield Check(name, "warn", one.problem.message, one.problem.hint or "Start it, or see its name and port in client.toml.", why)
            continue
        yield Check(name, "ok", f"it answers{' with TLS' if one.is_tls else ''}{f', through {one.between}' if one.between else ''}.")
        if one.skew_s is not None and abs(one.skew_s) > SKEW_S:
            words = f"its clock is {abs(one.skew_s) / 60:.0f} minutes {'ahead of' if one.skew_s > 0 else 'behind'} this one's."
            yield Check(
                name, "warn", words, "On both machines: sudo timedatectl set-ntp true", "Links and uploads expire at the wrong time."
            )
        if one.refuses_large:
            fix = "In nginx: client_max_body_size 0; and proxy_request_buffering off;"
            yield Check(name, "bad", "a proxy before it refuses requests above a megabyte.", fix, "Larger files never arrive.")
