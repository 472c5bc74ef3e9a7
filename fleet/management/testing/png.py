"""Smaller PNG files: a picture of a screen has few colours that matter, so 256 of them are enough."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
ALIKE = 48  # a distance that nobody sees between two neighbours on a screen
CHANNELS = {2: 3, 6: 4}  # by PNG's colour type: RGB, and RGB with transparency, which a screen does not have


def with_palette(png: bytes) -> bytes:
    """Return a picture of 8 bits a channel with 256 of its colours; all others take the nearest of these."""
    chunks = list(_chunks(png))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if depth != 8 or kind not in CHANNELS:
        raise ValueError("This is not a picture of 8 bits a channel in RGB.")
    data = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    step = CHANNELS[kind]
    rows = [[row[at : at + 3] for at in range(0, len(row), step)] for row in _rows(data, width=width * step, step=step)]
    palette = _palette(Counter(pixel for row in rows for pixel in row))
    places = {colour: place for place, colour in enumerate(palette)}
    lines = bytearray()
    for row in rows:
        lines.append(0)  # no filter: neighbouring places in a palette have nothing to do with each other
        for pixel in row:
            if pixel not in places:
                places[pixel] = _nearest(pixel, palette)
            lines.append(places[pixel])
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(bytes(lines), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rows(data: bytes, *, width: int, step: int) -> Iterator[bytes]:
    """Yield the rows of a picture with PNG's filters undone; `width` and `step` (of one pixel) are bytes."""
    above = bytes(width)
    for start in range(0, len(data), width + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + width])
        for at in range(width) if kind else ():
            left, corner = (row[at - step], above[at - step]) if at >= step else (0, 0)
            row[at] = (row[at] + _guess(kind, left, above[at], corner)) & 255
        above = bytes(row)
        yield above


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    """Return what PNG's filter of that number expects a byte to be."""
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    # Paeth: the neighbour that is nearest to left + up - corner.
    return min((left, up, corner), key=lambda each: abs(left + up - corner - each))


def _palette(pixels: Counter[bytes]) -> list[bytes]:
    """Return all colours, or of many the most frequent, less those that hardly differ from one that is more frequent."""
    if len(pixels) <= COLOURS:
        return list(pixels)
    chosen: list[bytes] = []
    for colour, _ in pixels.most_common():
        if len(chosen) < COLOURS and all(_distance(colour, each) >= ALIKE for each in chosen):
            chosen.append(colour)
    return chosen


def _nearest(pixel: bytes, palette: list[bytes]) -> int:
    return min(range(len(palette)), key=lambda place: _distance(pixel, palette[place]))


def _distance(one: bytes, other: bytes) -> int:
    """Return how far apart two colours are: the sum of the squares of what their channels differ by."""
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2
