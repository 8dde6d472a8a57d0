"""TLS of the server: a certificate that was given, or one made here once and for long. Its fingerprint is what clients pin.

The `openssl` program makes it: it is there wherever Debian's ca-certificates are, and once in ten years it is not worth
a library of 15 MB. Clients pin the certificate itself, so it stays when addresses change, and is made anew only at its end.
"""

import ipaddress
import json
import os
import platform
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from dmc.clock import Clock, rfc3339
from dmc.errors import BadSettings
from dmc.files import Disk, make_home, temp_name, translate, write_durably
from dmc.fingerprints import fingerprint_of
from dmc.log import Log

FOLDER = "tls"
VALID_DAYS = 3650
RENEW_DAYS = 30
OPENSSL_S = 60.0

log = Log("server")


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate with its key. `origin`: given in the settings, or made here."""

    certificate: Path
    key: Path
    fingerprint: str
    origin: Literal["given", "self-made"]

    def context(self) -> ssl.SSLContext:
        """For the server's socket; raises BadSettings if key and certificate do not belong together."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # A key with a password would be asked for on the terminal; nobody may be there.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ssl.SSLError) as problem:
            raise BadSettings(
                f"{self.certificate.name} and {self.key.name} cannot be used for TLS: {problem}.",
                "The key must belong to the certificate, be readable by dmc and have no password.",
            ) from None
        return context


def given(certificate: Path, key: Path) -> Tls:
    """A certificate (PEM, with its chain) and key of somebody else's making; raises BadSettings."""
    try:
        text = certificate.read_text(encoding="ascii", errors="replace")
        tls = Tls(certificate, key, fingerprint_of(text), "given")
    except (OSError, ValueError) as problem:
        raise BadSettings(f"{certificate} holds no certificate: {problem}.", "See tls_certificate in server.toml.") from None
    tls.context()
    return tls


def self_made(data: Path, hosts: Iterable[str], *, disk: Disk, clock: Clock) -> Tls:
    """The certificate that was made for this data folder; made now if there is none, or if its time is nearly over. Blocking."""
    folder = data / FOLDER
    make_home(folder)
    note, key, certificate = folder / "made.json", folder / "key.pem", folder / "certificate.pem"
    until = _good_until(note)
    if until is None or until < clock.now() + timedelta(days=RENEW_DAYS) or not (key.is_file() and certificate.is_file()):
        names = sorted({host.lower() for host in hosts if host} | _own_names())
        if until is not None:
            log.warning("the certificate's time is over: a new one is made, and clients that pin the old one must pair again")
        made_key, made_certificate = _make(folder, names)
        end = rfc3339(clock.now() + timedelta(days=VALID_DAYS))
        try:
            write_durably(disk, key, made_key)
            write_durably(disk, certificate, made_certificate)
            # Last: a note without its files, or files without their note, are made anew.
            write_durably(disk, note, json.dumps({"schema": 1, "good_until": end, "names": names}, indent=1).encode() + b"\n")
        except OSError as problem:
            raise translate(problem, "writing the certificate") from problem
    return Tls(certificate, key, fingerprint_of(certificate.read_text(encoding="ascii")), "self-made")


def _good_until(note: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(note.read_bytes())["good_until"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _own_names() -> set[str]:
    """What clients may call this machine."""
    name = platform.node().lower()
    found = {"localhost", "127.0.0.1", "::1", name, f"{name.partition('.')[0]}.local"} - {"", ".local"}
    try:
        found |= {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None)}
    except OSError:
        pass  # Nobody here knows the machine by its name; the names above are what remains.
    return found


def _make(folder: Path, names: list[str]) -> tuple[bytes, bytes]:
    """A new key and a certificate signed by itself, both PEM; raises BadSettings."""
    program = shutil.which("openssl")
    if program is None:
        raise BadSettings(
            'tls = "self-made" needs the openssl program, and there is none here.', "Install openssl, or name tls_certificate and tls_key."
        )
    key, certificate = folder / temp_name(), folder / temp_name()
    alternatives = ",".join(f"IP:{name}" if _is_address(name) else f"DNS:{name}" for name in names)
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256"]
    command += ["-days", str(VALID_DAYS), "-subj", "/CN=dmc", "-addext", f"subjectAltName={alternatives}"]
    command += ["-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(certificate)]
    try:
        os.close(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # Before there is a secret in it.
        done = subprocess.run(command, capture_output=True, timeout=OPENSSL_S, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - our own argv
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise BadSettings(f"openssl could not make a certificate: {said[-1] if said else 'it said nothing'}.")
        return key.read_bytes(), certificate.read_bytes()
    except subprocess.TimeoutExpired:
        raise BadSettings(f"openssl did not make a certificate within {OPENSSL_S:g} s.") from None
    except OSError as problem:
        raise translate(problem, "making a certificate") from problem
    finally:
        key.unlink(missing_ok=True)
        certificate.unlink(missing_ok=True)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
