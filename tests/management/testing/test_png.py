"""Pictures with a palette: what was drawn is there again, whichever of PNG's filters it came through."""

import struct
import zlib

import pytest

from fleet.management.testing.png import COLOURS, SIGNATURE, with_palette

Pixel = tuple[int, int, int]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def encoded(rows: list[list[Pixel]], *, kind: int, depth: int = 8) -> bytes:
    """Write RGB rows as a PNG whose rows all go through the filter of that number."""
    data, above = bytearray(), bytes(3 * len(rows[0]))
    for row in rows:
        plain = bytes(channel for pixel in row for channel in pixel)
        data.append(kind)
        for at, byte in enumerate(plain):
            a, c = (plain[at - 3], above[at - 3]) if at >= 3 else (0, 0)
            b = above[at]
            p = a + b - c
            near = {abs(p - c): c, abs(p - b): b, abs(p - a): a}  # on a tie the later key wins: a before b before c
            expected = [0, a, b, (a + b) // 2, near[min(near)]][kind]
            data.append((byte - expected) % 256)
        above = plain
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), depth, 2, 0, 0, 0)
    return SIGNATURE + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(data))), chunk(b"IEND", b""))
    )


def decoded(png: bytes) -> list[list[Pixel]]:
    """Read a PNG with a palette and without filters."""
    bodies, at = {}, len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert png[at + 8 + length : at + 12 + length] == struct.pack(">I", zlib.crc32(name + body))
        bodies[name], at = body, at + length + 12
    width, height, depth, kind = struct.unpack(">IIBB", bodies[b"IHDR"][:10])
    assert (depth, kind) == (8, 3)
    palette = [tuple(bodies[b"PLTE"][i : i + 3]) for i in range(0, len(bodies[b"PLTE"]), 3)]
    data = zlib.decompress(bodies[b"IDAT"])
    rows = [data[start : start + width + 1] for start in range(0, len(data), width + 1)]
    assert len(rows) == height
    assert all(row[0] == 0 for row in rows)
    return [[palette[place] for place in row[1:]] for row in rows]  # type: ignore[misc]


@pytest.mark.parametrize("kind", range(5))
def test_few_colours_come_through_every_filter_as_they_are(kind: int) -> None:
    colours = [(0, 0, 0), (255, 255, 255), (200, 30, 30), (30, 120, 60), (248, 250, 251)]
    rows = [[colours[(x * y + x + 3 * y) % 5] for x in range(13)] for y in range(9)]
    assert decoded(with_palette(encoded(rows, kind=kind))) == rows


def test_of_many_colours_the_frequent_ones_stay_and_the_others_take_the_nearest() -> None:
    many = [(r, g, b) for r in range(0, 256, 32) for g in range(0, 256, 32) for b in range(0, 256, 32)]
    assert len(many) == 2 * COLOURS
    frequent, rare = many[::2], many[1::2]
    rows = [frequent, frequent, rare]
    first, second, third = decoded(with_palette(encoded(rows, kind=1)))
    assert first == second == frequent
    for seen, asked in zip(third, rare, strict=True):
        assert sum((one - other) ** 2 for one, other in zip(seen, asked, strict=True)) == 32**2


def test_a_rare_colour_is_not_lost_to_shades_of_a_frequent_one() -> None:
    shades = [(g, g, g) for g in range(256)]
    rows = [shades, shades, [(0, 200, 0)] * 256]
    rows[2][1:] = shades[1:]
    assert decoded(with_palette(encoded(rows, kind=0)))[2][0] == (0, 200, 0)


def test_another_form_of_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="8 bits"):
        with_palette(encoded([[(0, 0, 0)]], kind=0, depth=16))
