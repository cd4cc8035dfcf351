"""Decodes image files to arrays of bytes, with Pillow.

Pixels are taken as they are stored, without colour profiles and without the orientation
of EXIF. A palette becomes its colours, transparent pixels lie on black, and of several
frames the first is taken.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from experiments.harness.messages import UserError
from experiments.harness.progress import Progress

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Formats to read; Pillow knows others that are rare in data sets and less tested."""
GREY = ("1", "L", "LA")
COLOURED = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_ADVICE = "mend it, or remove it"


def common_shape(paths: Sequence[str]) -> tuple[int, int, int]:
    """Height, width and channels of all images, from their headers.

    There is one channel if all images are grey, and three otherwise.

    Raises:
      UserError: an image cannot be read, or has another size than the first.
    """
    first, all_grey = None, True
    with _strict():
        for path in paths:
            with _opened(path) as image:
                all_grey &= image.mode in GREY
                size = image.size
            first = first or size
            if size != first:
                raise UserError(
                    f"{path} has {_pixels(size)} and {paths[0]} has {_pixels(first)}: "
                    "all images must have one size"
                )
    width, height = first or (0, 0)
    return height, width, 1 if all_grey else 3


def decoded(paths: Sequence[str], shape: tuple[int, int, int]) -> np.ndarray:
    """The images of a `common_shape`, as (n, height, width, channels) uint8.

    Raises:
      UserError: an image cannot be read.
    """
    images = np.empty((len(paths), *shape), np.uint8)
    with _strict(), Progress(len(paths), unit="image") as progress:
        for index, path in enumerate(paths):
            with _opened(path) as image:
                array = _array(image, shape[-1])
            if array.shape != shape:
                raise UserError(f"{path} was changed while it was read: try again")
            images[index] = array
            progress.update(index + 1)
    return images


def _array(image: Image.Image, channels: int) -> np.ndarray:
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, "black")
        image = Image.alpha_composite(black, image.convert("RGBA"))
    if channels == 1:
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGB"))


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Makes Pillow refuse images that are too large, and ignore odd metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode not in (*GREY, *COLOURED):
                raise UserError(
                    f"{path} has pixels of the kind {image.mode}: bring it with 8 bits "
                    "a channel, grey or RGB"
                )
            yield image
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UserError(
            f"{path} has more than the {Image.MAX_IMAGE_PIXELS:,} pixels that an image "
            "may have: bring smaller ones"
        ) from None
    # A decoder may raise anything on a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as an image ({_reason(error)}): {_ADVICE}"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
