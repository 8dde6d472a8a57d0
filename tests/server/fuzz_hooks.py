"""What schemathesis cannot know of this API: how the body of a tus PATCH is written."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")  # type: ignore[untyped-decorator]
def part_of_a_file(ctx: object, value: object) -> bytes:
    """Bytes as they are; anything else as text."""
    return value if isinstance(value, bytes) else str(value).encode()
