"""The path that a proxy gives to a server, as settings and addresses name it. Pure."""

import re

_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def checked_base_path(base: str) -> str:
    """A base path without a slash at its end; raises ValueError with a sentence."""
    plain = base.rstrip("/")
    if not _BASE_PATH.fullmatch(plain) or {".", ".."} & set(plain.split("/")):
        raise ValueError(f"{base!r} is no path like /dmc")
    if plain.startswith(("/api", "/web")):
        raise ValueError("a base path that begins with /api or /web would hide paths of dmc")
    return plain
