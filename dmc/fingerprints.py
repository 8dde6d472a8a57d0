"""Fingerprints of certificates: the SHA-256, 64 hex digits; people read them with colons. Pure."""

import base64
import hashlib
import re

from dmc.errors import UsageFault


def fingerprint_of(certificate: str) -> str:
    """The fingerprint of the first certificate in a PEM text; raises ValueError where there is none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", certificate, re.S)
    if found is None:
        raise ValueError("there is no certificate")
    return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest()


def plain_fingerprint(text: str) -> str:
    """A fingerprint as people write it, as 64 small hex digits; raises UsageFault."""
    plain = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise UsageFault("a fingerprint is the SHA-256 of a certificate: 64 hex digits.", "The server shows it at its start.")
    return plain


def shown_fingerprint(fingerprint: str) -> str:
    """A fingerprint for people: `AB:CD:…`."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()
