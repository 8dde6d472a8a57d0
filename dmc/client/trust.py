"""Whom the client takes for its server when it speaks TLS: whoever shows the pinned certificate, or one that a known CA signed.

A pin is of the certificate itself: names and dates in it do not matter then, since nobody else can show it.
"""

import ssl
from pathlib import Path

import aiohttp

from dmc.errors import BadSettings
from dmc.fingerprints import shown_fingerprint

Trust = ssl.SSLContext | aiohttp.Fingerprint | bool
"""What aiohttp calls `ssl`; True: the CAs of the system."""


def trust_of(fingerprint: str | None, ca_file: Path | None) -> Trust:
    """What the certificate of a server must be; raises BadSettings for a CA file that cannot be read."""
    if fingerprint is not None:
        return aiohttp.Fingerprint(bytes.fromhex(fingerprint))
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as problem:
        raise BadSettings(f"{ca_file} holds no certificates of a CA: {problem}.", "It is a PEM file; see ca_file in client.toml.") from None


def distrust(problem: BaseException) -> str | None:
    """What is wrong with the certificate of who answered, in a sentence; None if that is not the problem."""
    if isinstance(problem, aiohttp.ServerFingerprintMismatch):
        return (
            f"another certificate answers than the pinned one: {shown_fingerprint(problem.got.hex())}. "
            "If the server got a new one, pair again: dmc client pair."
        )
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        reason = getattr(problem.certificate_error, "verify_message", "") or str(problem.certificate_error)
        return f"the server's certificate is not trusted: {reason}."
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        return "no TLS could be agreed on: does the server speak it at this port?"
    return None
