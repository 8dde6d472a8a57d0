"""The header fields of tus 1.0 and of digests (RFC 9530): text in, values out. Pure.

Whatever does not fit raises BadRequest with a sentence. A file name in the metadata is a label: it is made harmless
here and never becomes part of a path.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dmc.errors import BadRequest
from dmc.files import safe_name
from dmc.protocol import LAG_HEADER

LARGEST = 2**63 - 1
"""No length or offset is larger: what a signed 64-bit file offset holds."""

CHECKSUMS = ("sha1", "sha256", "sha512")
MOST_METADATA = 32

_DIGITS = re.compile(r"[0-9]{1,19}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_SHA512 = re.compile(r"[0-9a-f]{128}")
_DIGEST_SIZE = {"sha1": 20, "sha256": 32, "sha512": 64}


@dataclass(frozen=True, slots=True)
class Checksum:
    """What one request's body must hash to."""

    algorithm: str
    digest: bytes


def parse_number(field: str | None, name: str) -> int:
    """A length or offset, 0 … 2^63-1."""
    if field is None:
        raise BadRequest(f"{name} is missing.")
    if not _DIGITS.fullmatch(field) or int(field) > LARGEST:
        raise BadRequest(f"{name} must be a whole number from 0 to 2^63-1, not {field[:40]!r}.")
    return int(field)


def parse_length(headers: Mapping[str, str]) -> int | None:
    """The announced length of a new upload; None where it is deferred."""
    length, deferred = headers.get("Upload-Length"), headers.get("Upload-Defer-Length")
    if (length is None) == (deferred is None):
        raise BadRequest("a new upload needs exactly one of Upload-Length and Upload-Defer-Length.")
    if deferred is not None:
        if deferred != "1":
            raise BadRequest("Upload-Defer-Length must be 1.")
        return None
    return parse_number(length, "Upload-Length")


def parse_lag(headers: Mapping[str, str]) -> float | None:
    """What a client says of how late it was; None where it says nothing, or nothing that makes sense."""
    field = headers.get(LAG_HEADER, "")
    return float(field) if _SECONDS.fullmatch(field) else None


def parse_metadata(field: str | None) -> dict[str, bytes]:
    """`Upload-Metadata`: unique keys with Base64 values; a key without a value has an empty one."""
    found: dict[str, bytes] = {}
    if field is None or not field.strip():
        return found
    for pair in field.split(","):
        key, _, value = pair.strip(" ").partition(" ")
        if not _KEY.fullmatch(key):
            raise BadRequest("a key in Upload-Metadata is empty or holds more than visible ASCII characters.")
        if key in found:
            raise BadRequest(f"the key {key!r} stands in Upload-Metadata twice.")
        found[key] = _from_base64(value, f"the value of {key!r} in Upload-Metadata")
    if len(found) > MOST_METADATA:
        raise BadRequest(f"Upload-Metadata holds more than {MOST_METADATA} keys.")
    return found


def format_metadata(values: Mapping[str, str]) -> str:
    """The field for `values`, the way it is parsed."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def metadata_text(found: Mapping[str, bytes], key: str) -> str | None:
    """The value of `key` as text; None if it is missing or empty."""
    value = found.get(key)
    if not value:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the value of {key!r} in Upload-Metadata is not UTF-8.") from None


def label_of(raw: bytes | None) -> str:
    """What the user calls the file, made harmless: no path, no control characters, 1 … 255 bytes. Bytes that are no UTF-8 are replaced."""
    return safe_name((raw or b"").decode("utf-8", "replace"))


def parse_sha512(text: str | None) -> str | None:
    """A SHA-512 in hex, lower-cased; None if there is none."""
    if text is None:
        return None
    value = text.strip().lower()
    if not _SHA512.fullmatch(value):
        raise BadRequest("sha512 must be 128 hexadecimal digits.")
    return value


def parse_checksum(field: str | None) -> Checksum | None:
    """`Upload-Checksum: <algorithm> <Base64 digest>`; None if there is none."""
    if field is None:
        return None
    algorithm, _, value = field.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadRequest(f"Upload-Checksum must use one of {', '.join(CHECKSUMS)}, not {algorithm[:20]!r}.")
    digest = _from_base64(value, "the digest in Upload-Checksum")
    if len(digest) != _DIGEST_SIZE[algorithm]:
        raise BadRequest(f"a {algorithm} digest has {_DIGEST_SIZE[algorithm]} bytes.")
    return Checksum(algorithm, digest)


def parse_repr_digest(field: str | None) -> str | None:
    """The SHA-512 of `Repr-Digest: sha-512=:<Base64>:` in hex; other algorithms in the field are passed over."""
    for member in (field or "").split(","):
        name, _, value = member.strip().partition("=")
        if name.lower() != "sha-512":
            continue
        if len(value) < 2 or not (value.startswith(":") and value.endswith(":")):
            raise BadRequest("the sha-512 in Repr-Digest must be written as :Base64:.")
        digest = _from_base64(value[1:-1], "the sha-512 in Repr-Digest")
        if len(digest) != _DIGEST_SIZE["sha512"]:
            raise BadRequest("the sha-512 in Repr-Digest must have 64 bytes.")
        return digest.hex()
    return None


def digest_field(digest: bytes) -> str:
    """`sha-512=:…:` as RFC 9530 writes it."""
    return f"sha-512=:{base64.b64encode(digest).decode()}:"


def _from_base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest(f"{what} is not valid Base64.") from None
