"""Pictures of one's own: whatever is uploaded becomes a small plain picture or a sentence, and is found again."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy
import pytest
from PIL import Image

from kdcore.own_pictures import (
    BYTES,
    FITS,
    SIDE,
    OwnPicture,
    OwnPictureError,
    drawn,
    find,
    keep,
    uploaded,
)  # fmt: skip


class Beside:
    """Keeps answers in memory, as a run does on disk."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def answer(self, key: str) -> bytes | None:
        return self.files.get(key)

    def keep_answer(self, key: str, content: bytes) -> None:
        self.files[key] = content


def file(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    found = io.BytesIO()
    image.save(found, kind, **more)
    return found.getvalue()


def slope(width: int, height: int) -> numpy.ndarray:
    return numpy.linspace(0, 255, width * height).reshape(height, width).astype(numpy.uint8)


GREY = Image.fromarray(slope(40, 30))
COLOUR = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.FLIP_LEFT_RIGHT), GREY])


@pytest.mark.parametrize(
    ("content", "channels"),
    [
        (file(GREY), 1),
        (file(COLOUR), 3),
        (file(COLOUR, "JPEG"), 3),
        (file(COLOUR.convert("CMYK"), "JPEG"), 3),
        (file(COLOUR.quantize(16)), 3),
        (file(COLOUR.quantize(16), transparency=3), 3),
        (file(GREY.convert("1")), 1),
        (file(GREY.convert("LA")), 1),
        (file(Image.fromarray(slope(40, 30).astype(numpy.uint16) * 257)), 1),
        (file(COLOUR.convert("RGBA")), 3),
    ],
    ids=["grey", "colour", "jpeg", "cmyk", "palette", "palette with a hole", "one bit", "grey alpha", "16 bit", "rgba"],
)  # fmt: skip
def test_every_kind_of_png_and_jpeg_becomes_plain(content: bytes, channels: int) -> None:
    picture = uploaded(content)
    assert picture.pixels.shape == (30, 40, channels)
    assert picture.pixels.dtype == numpy.uint8
    assert picture.size == (40, 30)


def test_sixteen_bits_keep_their_upper_byte_and_what_is_transparent_is_white() -> None:
    deep = uploaded(file(Image.fromarray(slope(40, 30).astype(numpy.uint16) * 256)))
    numpy.testing.assert_array_equal(deep.pixels[..., 0], slope(40, 30))
    hollow = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    hollow.putpixel((4, 4), (0, 0, 0, 255))
    found = uploaded(file(hollow)).pixels[..., 0]
    assert found[4, 4] == 0
    assert int((found == 255).sum()) == 80


def test_large_pictures_are_made_small_and_keep_their_proportion() -> None:
    picture = uploaded(file(Image.new("RGB", (3000, 1500), (250, 10, 10)), "JPEG"))
    assert picture.pixels.shape == (SIDE // 2, SIDE, 3)
    assert picture.size == (3000, 1500)
    assert abs(picture.pixels.reshape(-1, 3).astype(int) - (250, 10, 10)).max() < 8


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3)])
def test_any_size_is_accepted(size: tuple[int, int]) -> None:
    assert uploaded(file(Image.new("L", size, 200))).pixels.shape[2] == 1


def test_a_camera_held_sideways_is_turned_upright_and_its_notes_are_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret Camera Co."
    lying = file(COLOUR, "JPEG", exif=exif, quality=95)
    picture = uploaded(lying)
    assert picture.size == (30, 40)
    assert picture.pixels.shape == (40, 30, 3)
    upright = numpy.asarray(COLOUR.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert abs(picture.pixels.astype(int) - upright).mean() < 4
    assert b"Secret" in lying
    assert b"Secret" not in picture.to_bytes()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"not a picture at all", "no PNG or JPEG"),
        (file(GREY)[:60], "no PNG or JPEG"),
        (file(COLOUR, "JPEG")[:200], "no PNG or JPEG"),
        (file(GREY, "GIF"), "no PNG or JPEG"),
        (file(GREY, "BMP"), "no PNG or JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG or JPEG"),
        (bytes(BYTES + 1), "2.0 MB; 2 MB at most"),
        (bomb(5001, 5000), "5,001 × 5,000 pixels; 25 million at most"),
        (bomb(60_000, 60_000), "million at most"),
        (bomb(0, 10), "no PNG or JPEG"),
        (bomb(10, 0), "no PNG or JPEG"),
        (bomb(2000, 2000), "no PNG or JPEG"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(OwnPictureError, match=said):
        uploaded(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_files_are_a_small_picture_or_a_sentence(kind: str) -> None:
    whole = file(COLOUR, kind)
    dice = random.Random(0)
    refused = 0
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(dice.randint(1, 12)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        if dice.random() < 0.3:
            del broken[dice.randrange(len(broken)) :]
        try:
            picture = uploaded(bytes(broken))
        except OwnPictureError:
            refused += 1
            continue
        assert max(picture.pixels.shape[:2]) <= SIDE
        assert picture.pixels.shape[2] in (1, 3)
    assert refused > 50


def test_a_canvas_gives_grey_or_colour() -> None:
    grey = drawn(16, bytes(range(256)))
    assert grey.pixels[1, 2, 0] == 18
    colour = drawn(8, bytes(range(192)))
    assert colour.pixels[0, 1].tolist() == [3, 4, 5]


@pytest.mark.parametrize(("side", "count"), [(8, 63), (8, 65), (0, 0), (1000, 1_000_000), (8, 0), (-8, 64)])
def test_a_canvas_of_another_shape_is_refused(side: int, count: int) -> None:
    with pytest.raises(OwnPictureError, match="one or three bytes"):
        drawn(side, bytes(count))


def test_what_is_kept_is_found_by_its_content_and_only_by_that() -> None:
    run = Beside()
    picture = uploaded(file(COLOUR), fit="swapped")
    name = keep(run, picture)
    assert keep(run, uploaded(file(COLOUR), fit="swapped")) == name
    assert len(run.files) == 1
    found = find(run, name)
    numpy.testing.assert_array_equal(found.pixels, picture.pixels)
    assert (found.origin, found.size, found.fit) == ("uploaded", (40, 30), "swapped")
    assert keep(run, uploaded(file(COLOUR))) != name, "how it is fitted belongs to it"
    run.files = dict.fromkeys(run.files, b"something else")
    with pytest.raises(OwnPictureError, match="not kept with this run"):
        find(run, name)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0123456789abcde", "0123456789ABCDEF", "0" * 17, "<b>"])
def test_a_name_that_is_none_opens_nothing(name: str) -> None:
    with pytest.raises(OwnPictureError, match="is no name"):
        find(Beside(), name)


def test_a_run_keeps_no_more_than_256_and_always_the_newest() -> None:
    run = Beside()
    dice = numpy.random.default_rng(0)
    for _ in range(600):
        name = keep(run, OwnPicture(dice.integers(0, 255, (8, 8, 1), dtype=numpy.uint8), "drawn", (8, 8)))
        find(run, name)
    assert 200 < len(run.files) <= 256


def test_a_way_to_fit_that_is_not_there_is_refused() -> None:
    assert list(FITS) == ["like the data", "swapped", "as it is"]
    with pytest.raises(OwnPictureError, match="none of like the data"):
        uploaded(file(GREY), fit="somehow")
