"""Image files: pixels as they are stored, and one line for other files."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from experiments.harness.messages import UserError
from experiments.warm_start.data import decoding

SIZE = (5, 4)  # width and height
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
GREY = PIXELS[..., 0]


@pytest.fixture
def save(tmp_path):
    def saved(image, name="a.png", **options):
        path = tmp_path / name
        image.save(path, **options)
        return str(path)

    return saved


def read(*paths):
    return decoding.decoded(paths, decoding.common_shape(paths))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm"])
def test_colours_are_as_they_were_saved(save, name):
    image = read(save(Image.fromarray(PIXELS), name))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, PIXELS[None])


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.gif"])
def test_lossy_formats_are_read_as_pillow_reads_them(save, name):
    path = save(Image.fromarray(PIXELS), name)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read(path), expected[None])


def test_grey_images_have_one_channel_unless_one_is_coloured(save):
    grey, coloured = Image.fromarray(GREY), Image.fromarray(PIXELS)
    paths = [save(grey), save(grey.convert("1"), "b.png")]
    assert read(*paths).shape == (2, 4, 5, 1)
    np.testing.assert_array_equal(read(*paths)[0, ..., 0], GREY)
    np.testing.assert_array_equal(
        read(*paths, save(coloured, "c.png")),
        [
            np.stack([GREY] * 3, axis=-1),
            np.stack([np.asarray(grey.convert("1")) * 255] * 3, axis=-1),
            PIXELS,
        ],
    )


def test_what_is_transparent_lies_on_black(save):
    alpha = np.zeros((4, 5, 1), np.uint8)
    alpha[0] = 255
    expected = np.where(alpha, PIXELS, 0)[None]
    own = Image.fromarray(np.concatenate([PIXELS, alpha], axis=-1))
    np.testing.assert_array_equal(read(save(own)), expected)
    grey = Image.fromarray(np.stack([GREY, alpha[..., 0]], axis=-1))
    assert grey.mode == "LA"
    np.testing.assert_array_equal(read(save(grey)), expected[..., :1])


def test_a_palette_becomes_its_colours(save):
    palette = Image.fromarray(PIXELS).quantize(16)
    expected = np.asarray(palette.convert("RGB"))[None]
    np.testing.assert_array_equal(read(save(palette)), expected)
    first = bytes([255] + [0] * 15)  # all but the first are transparent
    rows = np.asarray(palette)[None, ..., None]
    np.testing.assert_array_equal(
        read(save(palette, transparency=first)), np.where(rows == 0, expected, 0)
    )


def test_print_colours_become_red_green_and_blue(save):
    inks = Image.fromarray(PIXELS).convert("CMYK")
    path = save(inks, "a.tiff")
    np.testing.assert_array_equal(read(path)[0], np.asarray(inks.convert("RGB")))


def test_an_orientation_is_not_applied(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    path = save(Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(read(path)[0], PIXELS)


def test_of_several_frames_the_first_is_taken(save):
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    path = save(frames[0], "a.tiff", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(path)[0], PIXELS)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
def test_other_pixels_are_refused_by_name(save, mode):
    path = save(Image.new(mode, SIZE), "a.tiff")
    with pytest.raises(UserError, match=rf"a.tiff has pixels of the kind {mode}: bri"):
        read(path)


def test_another_size_is_refused_by_name(save):
    paths = [save(Image.new("RGB", SIZE)), save(Image.new("RGB", (6, 4)), "b.png")]
    with pytest.raises(UserError, match=r"b.png has 6 x 4 pixels and .*a.png has 5 x"):
        read(*paths)


def test_a_size_that_changes_is_refused(save):
    path = save(Image.new("RGB", SIZE))
    shape = decoding.common_shape([path])
    save(Image.new("RGB", (6, 4)))
    with pytest.raises(UserError, match=r"a.png was changed while it was read"):
        decoding.decoded([path], shape)


def test_more_pixels_than_pillow_likes_are_not_decoded(save, monkeypatch):
    path = save(Image.new("RGB", SIZE))
    for most in (15, 5):  # the one a warning of Pillow's, the other an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(UserError, match=rf"more than the {most} pixels"):
            read(path)


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"", "it is none of PNG"),
        (b"a,b\n1,2\n", "it is none of PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 4\n", "it is none of PNG"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, contents, why):
    path = tmp_path / "a.png"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=rf"a.png cannot be read as an image \({why}"):
        read(str(path))


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(UserError, match=r"\(No such file or directory\)"):
        read(str(tmp_path / "a.png"))


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"])
@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 1000), marks=pytest.mark.thorough)]
)
def test_damage_is_one_line_or_an_image(tmp_path, suffix, seeds):
    """Not every format has a checksum."""
    image, path, whole = Image.fromarray(PIXELS), tmp_path / "a.png", io.BytesIO()
    image.save(whole, suffix)
    refused = 0
    for seed in seeds:
        draw, data = random.Random(seed), bytearray(whole.getvalue())
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.choice([len(data), draw.randrange(len(data))])])
        try:
            found = decoding.decoded([str(path)], (4, 5, 3))
        except UserError:
            refused += 1
        else:
            assert found.shape == (1, 4, 5, 3)
    assert refused
