"""Completed offsets above the frontier as run lengths, in the metadata of a commit."""

import base64
import binascii
from collections.abc import Iterable


METADATA_LIMIT = 4096
"""Bytes of commit metadata that Kafka takes (``offset.metadata.max.bytes``)."""
_VERSION = "r1:"
_ROOM = (METADATA_LIMIT - len(_VERSION)) // 4 * 3
MOST_RUNS = _ROOM // 4
"""So many runs always fit, if each is shorter than two million offsets and begins near the one before."""

Run = tuple[int, int]
"""Completed offsets, from the first to before the second."""


def encode_runs(frontier: int, runs: Iterable[Run]) -> tuple[str, int | None]:
    """Write runs as pairs (distance to the run, its length), variable-length integers, in base64.

    Returns the metadata, and the first offset that did not fit, or None if all did.
    """
    packed = bytearray()
    cursor = frontier
    for start, end in runs:
        if end <= start:
            continue
        pair = _varint(start - cursor) + _varint(end - start)
        if len(packed) + len(pair) > _ROOM:
            return _metadata(packed), start
        packed += pair
        cursor = end
    return _metadata(packed), None


def decode_runs(frontier: int, metadata: str) -> list[Run]:
    """Read what ``encode_runs`` wrote; anything else gives no runs."""
    if not metadata.startswith(_VERSION):
        return []
    try:
        packed = base64.b64decode(metadata[len(_VERSION) :], validate=True)
        numbers = list(_varints(packed))
    except (binascii.Error, ValueError):
        return []
    if len(numbers) % 2:
        return []
    runs: list[Run] = []
    cursor = frontier
    for distance, length in zip(numbers[::2], numbers[1::2], strict=True):
        start = cursor + distance
        cursor = start + length
        runs.append((start, cursor))
    return runs


def _metadata(packed: bytearray) -> str:
    return _VERSION + base64.b64encode(packed).decode() if packed else ""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(packed: bytes) -> Iterable[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a number is cut off")
