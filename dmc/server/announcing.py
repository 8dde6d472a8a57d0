"""From header fields to an Announcement: what a tus client says about a file, checked before anything is made. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from dmc.conversions import check_options
from dmc.errors import BadRequest, NotAllowed
from dmc.server.auth import Caller
from dmc.server.policy import Announcement, ServerLimits, settle_conversion
from dmc.server.tus_headers import label_of, metadata_text, parse_metadata, parse_repr_digest, parse_sha512

MOST_OPTIONS = 4096
MOST_KEY = 200


def announce(headers: Mapping[str, str], caller: Caller, length: int | None, limits: ServerLimits) -> Announcement:
    """What `Upload-Metadata` and its neighbours say; raises BadRequest, NotAllowed, and what settle_conversion does."""
    field = headers.get("Upload-Metadata", "")
    found = parse_metadata(field)
    claimed = metadata_text(found, "client_id")
    if claimed not in (None, caller.client_id):
        raise NotAllowed(f"this token is for the client {caller.client_id!r}, not for {claimed!r}.", "Leave client_id out.")
    label = label_of(found.get("filename") or found.get("name"))
    key = metadata_text(found, "idempotency_key")
    if key is not None and len(key) > MOST_KEY:
        raise BadRequest(f"an idempotency_key has at most {MOST_KEY} characters.")
    partial = headers.get("Upload-Concat", "").strip() == "partial"
    kind, options = ("", {}) if partial else _conversion(found, label, limits)
    return Announcement(
        client_id=caller.client_id,
        label=label,
        length=length,
        conversion_type=kind,
        options=options,
        sha512=parse_sha512(metadata_text(found, "sha512")) or parse_repr_digest(headers.get("Repr-Digest")),
        idempotency_key=key,
        partial=partial,
        metadata=field,
    )


def _conversion(found: Mapping[str, bytes], label: str, limits: ServerLimits) -> tuple[str, dict[str, Any]]:
    kind = settle_conversion(metadata_text(found, "conversion_type"), label, limits)
    options = parse_options(metadata_text(found, "options"))
    check_options(kind, options, limits.conversions)
    return kind, options


def parse_options(text: str | None) -> dict[str, Any]:
    """Options of the conversion, a JSON object; empty where there are none."""
    if text is None:
        return {}
    try:
        found = json.loads(text) if len(text) <= MOST_OPTIONS else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequest(f"options must be a JSON object of at most {MOST_OPTIONS} characters.")
    return found
