"""Certificates for tests, made by the openssl program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dmc.fingerprints import fingerprint_of
from dmc.server.tls import Tls


def certificate(folder: Path, name: str, alternatives: str = "IP:127.0.0.1", expired: bool = False) -> Tls:
    """A self-signed certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed here")
    key, file = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=test", "-addext", f"subjectAltName={alternatives}", "-keyout", str(key), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    if expired:
        again = ["openssl", "x509", "-in", str(file), "-signkey", str(key), "-days", "-1", "-out", str(file)]
        subprocess.run(again, check=True, capture_output=True)
    return Tls(file, key, fingerprint_of(file.read_text()), "given")
