"""CIFAR-10 through tensorflow-datasets, from a small archive in the original format."""

import hashlib
import importlib.util
import io
import tarfile

import numpy as np
import pytest
import requests

from experiments.harness.messages import UserError
from experiments.warm_start import data
from experiments.warm_start.data import prepared

tfds = pytest.importorskip("tensorflow_datasets")

pytestmark = [
    pytest.mark.slow,
    # Of TensorFlow and tensorflow-datasets themselves.
    pytest.mark.filterwarnings("ignore"),
]
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="only TensorFlow can prepare the archive: pip install -e '.[prepare]'",
)
NAME = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{NAME}"
CLASSES = [f"class {number}" for number in range(10)]
PER_FILE = 4


def records(seed):
    """What a file of the archive holds: a label byte, then three planes of 32 x 32."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, PER_FILE).astype(np.uint8)
    images = rng.integers(0, 256, (PER_FILE, 32, 32, 3)).astype(np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(PER_FILE, -1)
    return labels, images, np.concatenate([labels[:, None], planes], axis=1).tobytes()


def write_archive(path):
    contents = {
        **{f"data_batch_{n}.bin": records(n)[2] for n in range(1, 6)},
        "test_batch.bin": records(6)[2],
        "batches.meta.txt": "\n".join(CLASSES).encode() + b"\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an archive whose checksum tensorflow-datasets takes for right."""
    path = tmp_path / NAME
    write_archive(path)
    expected = tfds.core.download.checksums.UrlInfo(
        size=path.stat().st_size,
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        filename=NAME,
    )
    builder_class = tfds.builder_cls("cifar10")
    monkeypatch.setattr(builder_class, "url_infos", {URL: expected})
    return tmp_path


def by_label_and_pixels(labels, images):
    return sorted(zip(labels.tolist(), (i.tobytes() for i in images), strict=True))


@needs_tensorflow
def test_the_archive_is_prepared_and_read_and_kept_as_arrays(
    folder, capsys, monkeypatch
):
    images = data.load("cifar10", folder)
    written = [records(n) for n in range(1, 6)]
    expected = by_label_and_pixels(
        np.concatenate([labels for labels, _, _ in written]),
        np.concatenate([pixels for _, pixels, _ in written]),
    )
    assert by_label_and_pixels(images.train.labels, images.train.images) == expected
    assert by_label_and_pixels(*images.test[::-1]) == by_label_and_pixels(
        *records(6)[:2]
    )
    assert images.train.images.dtype == np.uint8
    assert "preparing cifar10" in capsys.readouterr().err

    again = data.load("cifar10", folder)  # from the arrays
    np.testing.assert_array_equal(again.train.images, images.train.images)
    assert capsys.readouterr().err == ""

    (arrays,) = folder.rglob("arrays.npz")
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"arrays\.npz is damaged .*: remove it"):
        data.load("cifar10", folder)
    arrays.unlink()
    arrays.mkdir()  # so that nothing can be kept there
    monkeypatch.setattr(prepared.Path, "exists", lambda path: path.is_file())
    np.testing.assert_array_equal(
        data.load("cifar10", folder).test.images, images.test.images
    )
    assert "arrays.npz cannot be kept for the next time" in capsys.readouterr().err

    (records_of_test,) = folder.rglob("cifar10-test.array_record*")
    records_of_test.write_bytes(records_of_test.read_bytes()[:100])
    with pytest.raises(UserError, match=r"is damaged \(.*\): remove it"):
        data.load("cifar10", folder)


@needs_tensorflow
@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_an_archive_with_another_checksum_is_refused(folder, damage):
    path = folder / NAME
    contents = bytearray(path.read_bytes())
    if damage == "truncated":
        del contents[-10:]
    else:
        contents[len(contents) // 2] ^= 1
    path.write_bytes(bytes(contents))
    with pytest.raises(UserError, match=r"tar\.gz is damaged or another"):
        data.load("cifar10", folder)
    # Nothing half-prepared is left that the next call would take for whole.
    with pytest.raises(UserError, match="damaged or another"):
        data.load("cifar10", folder)


@needs_tensorflow
def test_what_was_prepared_in_another_format_is_one_line(folder):
    builder = tfds.builder("cifar10", data_dir=folder)  # TFRecord
    config = tfds.download.DownloadConfig(manual_dir=folder, try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
    with pytest.raises(UserError, match=r"cannot be read .*--data-directory"):
        data.load("cifar10", folder)


@needs_tensorflow
def test_a_damaged_description_is_one_line(folder):
    data.load("cifar10", folder)
    (description,) = folder.rglob("dataset_info.json")
    description.write_text("{")
    (arrays,) = folder.rglob("arrays.npz")
    arrays.unlink()  # else they are read in its place
    with pytest.raises(UserError, match="cannot be read"):
        data.load("cifar10", folder)


@needs_tensorflow
def test_kept_arrays_of_another_kind_are_refused(folder):
    data.load("cifar10", folder)
    (path,) = folder.rglob("arrays.npz")
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept if name != "about.json"}
    halves = {name: array[:, :16] for name, array in arrays.items() if array.ndim > 1}
    labels = {name: array for name, array in arrays.items() if array.ndim == 1}
    np.savez(path, **halves, **labels)
    with pytest.raises(UserError, match="damaged"):
        data.load("cifar10", folder)


def test_a_missing_archive_is_not_logged_beside_its_line(tmp_path, caplog):
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    with pytest.raises(UserError):
        data.load("cifar10", tmp_path)
    assert not caplog.records


def test_a_missing_archive_names_the_ways_to_get_it(tmp_path):
    with pytest.raises(UserError) as caught:
        data.load("cifar10", tmp_path)
    message = str(caught.value)
    for part in ("--download", NAME, "--data-directory"):
        assert part in message
    with pytest.raises(UserError, match="apt-get install dataset-fashion-mnist"):
        data.load("fashion_mnist", tmp_path)


@needs_tensorflow
@pytest.mark.parametrize("dataset", ["cifar10", "fashion_mnist"])
def test_no_network_is_one_line(tmp_path, monkeypatch, dataset):
    def fail(*args, **options):
        raise requests.exceptions.ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=r"could not be fetched: is there a network\?"):
        data.load(dataset, tmp_path, download=True)


def test_preparing_without_tensorflow_says_so(folder, monkeypatch):
    find_spec = prepared.importlib.util.find_spec
    monkeypatch.setattr(
        prepared.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorflow" else find_spec(name),
    )
    with pytest.raises(UserError, match="needs TensorFlow, once: run pip install"):
        data.load("cifar10", folder)


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "_NEEDS", ("tensorflow_datasets", "no_such_module"))
    with pytest.raises(UserError, match=r"cifar10 needs no_such_module: run pip inst"):
        data.load("cifar10", tmp_path)
