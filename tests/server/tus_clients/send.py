"""Sends a file with an unmodified Python client of tus: `send.py URL TOKEN FILE tuspy|aiotus`. Run by test_tus_clients.py."""

import asyncio
import hashlib
import sys
from pathlib import Path


def by_tuspy(endpoint: str, headers: dict[str, str], path: Path, metadata: dict[str, str]) -> None:
    """In parts with checksums, stopped in the middle and taken up again."""
    from tusclient.client import TusClient

    client = TusClient(endpoint, headers=headers)
    first = client.uploader(str(path), chunk_size=200_000, metadata=metadata, upload_checksum=True)
    first.upload(stop_at=600_000)
    second = client.uploader(str(path), chunk_size=200_000, url=first.url, upload_checksum=True)
    assert second.offset == 600_000
    second.upload()


async def by_aiotus(endpoint: str, headers: dict[str, str], path: Path, metadata: dict[str, str]) -> None:
    """Once whole, once as parts that are concatenated."""
    import aiotus

    raw = {key: value.encode() for key, value in metadata.items()}
    with path.open("rb") as file:
        location = await aiotus.upload(endpoint, file, raw, headers=headers)
    assert location is not None
    assert await aiotus.metadata(str(location), headers=headers)
    with path.open("rb") as one, path.open("rb") as two:
        assert await aiotus.upload_multiple(endpoint, [one, two], {"filename": b"twice.mp4"}, headers=headers) is not None


def main(url: str, token: str, path: Path, which: str) -> None:
    endpoint, headers = f"{url}/api/v1/uploads", {"Authorization": f"Bearer {token}"}
    metadata = {"filename": "clip.mp4", "conversion_type": "h265", "sha512": hashlib.sha512(path.read_bytes()).hexdigest()}
    if which == "tuspy":
        by_tuspy(endpoint, headers, path, metadata)
    else:
        asyncio.run(by_aiotus(endpoint, headers, path, metadata))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
