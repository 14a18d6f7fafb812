"""Data sets: the embedded one, the file formats, and every way in which a transfer can fail.

Nothing here leaves the machine: small files of the same formats are made and served on a port of
the loopback.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import importlib.util
import io
import os
import re
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from companion import datasets
from companion._optional import MissingExtraError
from companion.datasets import DownloadError, RemoteFile, download, formats, sources

RNG = np.random.default_rng(0)
IMAGES, TEST_IMAGES = (RNG.integers(0, 256, (n, 5, 4), dtype=np.uint8) for n in (7, 3))
LABELS, TEST_LABELS = (RNG.integers(0, 10, n, dtype=np.uint8) for n in (7, 3))
COLOURS = {count: RNG.integers(0, 256, (count, 3072), dtype=np.uint8) for count in (2, 3, 4)}


# --- small files of the published formats -------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return gzip.compress(header + array.tobytes(), mtime=0)


def records(labels: list[list[int]], pixels: np.ndarray) -> bytes:
    return b"".join(bytes(label) + row.tobytes() for label, row in zip(labels, pixels, strict=True))


def archive(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return out.getvalue()


def cifar10_members() -> dict[str, bytes]:
    made = {
        f"cifar-10-batches-bin/data_batch_{i}.bin": records([[i], [9 - i]], COLOURS[2])
        for i in range(1, 6)
    }
    made["cifar-10-batches-bin/test_batch.bin"] = records([[0], [1], [9]], COLOURS[3])
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    made["cifar-10-batches-bin/batches.meta.txt"] = ("\n".join(names) + "\n\n").encode()
    return made


def cifar100_members() -> dict[str, bytes]:
    names = "\n".join(f"class{i}" for i in range(100))
    return {
        "cifar-100-binary/train.bin": records([[0, 99], [1, 5], [2, 7], [19, 0]], COLOURS[4]),
        "cifar-100-binary/test.bin": records([[3, 42], [3, 43]], COLOURS[2]),
        "cifar-100-binary/fine_label_names.txt": names.encode(),
    }


CONTENTS = {
    "train-images-idx3-ubyte.gz": idx(IMAGES),
    "train-labels-idx1-ubyte.gz": idx(LABELS),
    "t10k-images-idx3-ubyte.gz": idx(TEST_IMAGES),
    "t10k-labels-idx1-ubyte.gz": idx(TEST_LABELS),
    "cifar-10-binary.tar.gz": archive(cifar10_members()),
    "cifar-100-binary.tar.gz": archive(cifar100_members()),
}


# --- a server that can misbehave ----------------------------------------------------------------


@dataclass
class Server:
    """Files served on the loopback, and how often each was asked for."""

    address: str
    files: dict[str, bytes]
    cut: dict[str, int] = field(default_factory=dict)
    refuse: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            state.asked.append(self.path)
            if state.refuse or name not in state.files or self.path.startswith("/refusing/"):
                state.refuse -= state.refuse > 0
                self.send_error(403)
                return
            content = state.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: state.cut.get(name, len(content))])

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state = Server(f"http://127.0.0.1:{httpd.server_port}/good/", dict(CONTENTS))
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            httpd.shutdown()
            thread.join()


@pytest.fixture
def small(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The table of sources with the small files of the server, an empty cache, no pauses."""
    table = {
        name: replace(
            source,
            addresses=(server.address,),
            files=tuple(
                RemoteFile(f.name, hashlib.md5(CONTENTS[f.name]).hexdigest(), len(CONTENTS[f.name]))
                for f in source.files
            ),
        )
        for name, source in sources.SOURCES.items()
    }
    for module in (datasets, download):
        monkeypatch.setattr(module, "SOURCES", table)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return server


def cached() -> list[str]:
    folder = datasets.cache_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# --- digits -------------------------------------------------------------------------------------


def test_digits_are_the_default_and_split_fairly():
    data = datasets.load()
    assert (data.name, data.classes, data.inputs, data.shape) == ("digits", 10, 64, (8, 8))
    assert (len(data.y_train), len(data.y_test)) == (1437, 360)
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    whole = np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert np.all(np.abs(np.bincount(data.y_test) - whole / 5) < 1), "stratified"
    assert "1437" in data.split


def test_the_split_of_digits_is_fixed_and_covers_everything():
    from sklearn.datasets import load_digits

    data, again = datasets.load("digits"), datasets.load("digits")
    assert np.array_equal(data.x_train, again.x_train)
    original = load_digits().data / 16
    both = np.concatenate([data.x_train, data.x_test])
    key = RNG.standard_normal(64)
    assert np.allclose(np.sort(both @ key), np.sort(original @ key))
    assert not np.allclose(data.x_test, original[:360]), "not simply the first ones"


def test_arrays_are_read_only():
    data = datasets.load()
    with pytest.raises(ValueError, match="read-only"):
        data.x_train[0, 0] = 5


def test_hold_out():
    data = datasets.load()
    held = data.hold_out(0.2)
    assert (len(held.y_train), len(held.y_validation)) == (1149, 288)
    assert np.array_equal(held.x_test, data.x_test)
    key = RNG.standard_normal(64)
    parts = np.concatenate([held.x_train, held.x_validation])
    assert np.allclose(np.sort(parts @ key), np.sort(data.x_train @ key))
    assert np.all(np.abs(np.bincount(held.y_validation) - np.bincount(data.y_train) / 5) < 1)
    assert np.array_equal(held.x_validation, data.hold_out(0.2).x_validation)
    assert not np.array_equal(held.x_validation, data.hold_out(0.2, seed=1).x_validation)
    assert "288 held out" in held.split
    with pytest.raises(ValueError, match=r"hold_out\(\) was called before"):
        held.hold_out(0.2)
    for fraction, message in ((0.0, "greater than 0"), (1.0, "must be below 1, got 1")):
        with pytest.raises(ValueError, match=message):
            data.hold_out(fraction)


def test_standardized():
    data = datasets.load(standardize=True)
    plain = datasets.load()
    assert data.x_train.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert data.x_train.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    mean, deviation = plain.x_train.mean(dtype="f8"), plain.x_train.std(dtype="f8")
    assert np.allclose(data.x_test, (plain.x_test - mean) / deviation, atol=1e-6)
    assert data.x_train.dtype == np.float32
    held = plain.hold_out(0.5).standardized()
    assert held.x_validation.std() == pytest.approx(1, abs=0.05)


def test_a_table_that_does_not_fit():
    data = datasets.load()
    with pytest.raises(ValueError, match="x_train must be a table with one row per entry"):
        replace(data, x_train=data.x_train[:5])
    with pytest.raises(ValueError, match="flatten the images"):
        replace(data, x_test=data.x_test.reshape(-1, 8, 8))


def test_an_unknown_name():
    with pytest.raises(ValueError, match="name of a data set must be one of 'digits', 'mnist'"):
        datasets.load("imagenet")


# --- formats ------------------------------------------------------------------------------------


def test_mnist(small):
    data = datasets.load("mnist", progress=False)
    assert np.array_equal(data.x_train, (IMAGES.reshape(7, 20) / 255).astype(np.float32))
    assert np.array_equal(data.x_test, (TEST_IMAGES.reshape(3, 20) / 255).astype(np.float32))
    assert np.array_equal(data.y_train, LABELS)
    assert np.array_equal(data.y_test, TEST_LABELS)
    assert (data.shape, data.classes, data.split) == ((5, 4), 10, "as published")
    assert data.y_train.dtype == np.int64


def test_cifar10(small):
    data = datasets.load("cifar10", progress=False)
    assert data.y_train.tolist() == [1, 8, 2, 7, 3, 6, 4, 5, 5, 4], "batches in their order"
    assert np.array_equal(data.x_train, np.tile(COLOURS[2], (5, 1)) / np.float32(255))
    assert data.y_test.tolist() == [0, 1, 9]
    assert np.array_equal(data.x_test, COLOURS[3] / np.float32(255))
    assert data.shape == (3, 32, 32)
    assert data.labels[0] == "airplane"
    assert data.labels[9] == "truck"


def test_cifar100_takes_the_fine_labels(small):
    data = datasets.load("cifar100", progress=False)
    assert data.y_train.tolist() == [99, 5, 7, 0]
    assert data.y_test.tolist() == [42, 43]
    assert data.classes == 100
    assert np.array_equal(data.x_train, COLOURS[4] / np.float32(255))


def broken(raw: bytes, position: int, value: int) -> bytes:
    """Change one byte inside a gzip file, leaving it a valid one."""
    data = bytearray(gzip.decompress(raw))
    data[position] = value
    return gzip.compress(bytes(data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(LABELS), "it starts with 00000801, an IDX file with 00000803"),
        (broken(idx(IMAGES), 2, 9), "it starts with 00000903"),
        (broken(idx(IMAGES), 7, 8), r"it holds 140 bytes of data for the shape \(8, 5, 4\)"),
        (gzip.compress(gzip.decompress(idx(IMAGES))[:-1]), "it holds 139 bytes of data"),
        (gzip.compress(b"\0\0\x08\x03\0"), "it ends within its header"),
        (idx(IMAGES)[:60], "ended before"),
        (b"no gzip at all", "is damaged or not what its name says"),
        (b"", "is damaged or not what its name says: it starts with "),
    ],
    ids=[
        "other-kind",
        "other-type",
        "more-rows",
        "short",
        "header-cut",
        "gzip-cut",
        "no-gzip",
        "empty",
    ],
)
def test_a_damaged_idx_file(tmp_path, content, message):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as found:
        formats.read_idx(path, 3)
    assert "delete it, the next load fetches it again" in str(found.value)


def changed(**members: bytes | None) -> bytes:
    """The small CIFAR-10 archive with members replaced or left out."""
    whole = cifar10_members()
    for short, content in members.items():
        (name,) = [n for n in whole if short in n]
        if content is None:
            del whole[name]
        else:
            whole[name] = content
    return archive(whole)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(data_batch_3=None), "it holds no cifar-10-batches-bin/data_batch_3.bin"),
        (changed(test_batch=b"x" * 3072), "3072 bytes are no whole number of records of 3073"),
        (changed(test_batch=b""), "0 bytes are no whole number of records"),
        (changed(test_batch=bytes([10] + [0] * 3072)), "it has the label 10 for 10 classes"),
        (archive(cifar10_members())[:5000], "ended before"),
        (b"no archive", "is damaged or not what its name says"),
    ],
    ids=["missing", "short", "empty", "label", "cut", "no-archive"],
)
def test_a_damaged_archive(tmp_path, content, message):
    path = tmp_path / "some.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        formats.read_cifar(path, formats.CIFAR["cifar10"])


def test_a_link_in_an_archive_is_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(3073))
    members = cifar10_members()
    name = "cifar-10-batches-bin/test_batch.bin"
    del members[name]
    for target in (str(secret), "../../secret.bin", "data_batch_1.bin"):
        path = tmp_path / "some.tar.gz"
        path.write_bytes(archive(members, {name: target}))
        with pytest.raises(ValueError, match=r"test_batch\.bin in it is not a plain file"):
            formats.read_cifar(path, formats.CIFAR["cifar10"])


def test_nothing_is_written_beside_an_archive(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    path = folder / "some.tar.gz"
    path.write_bytes(archive({**cifar10_members(), "../escaped": b"x", "/tmp/escaped": b"x"}))
    formats.read_cifar(path, formats.CIFAR["cifar10"])
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "some.tar.gz"]


# --- transfers ----------------------------------------------------------------------------------


def test_files_are_fetched_once(small):
    assert not datasets.present("mnist")
    datasets.load("mnist", progress=False)
    assert len(small.asked) == 4
    assert datasets.present("mnist")
    assert cached() == sorted(f.name for f in datasets.SOURCES["mnist"].files)
    datasets.load("mnist", progress=False)
    assert len(small.asked) == 4


def test_a_file_put_there_by_hand_needs_no_network(small):
    folder = datasets.cache_folder()
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(CONTENTS["cifar-10-binary.tar.gz"])
    assert datasets.load("cifar10", progress=False).classes == 10
    assert small.asked == []


def test_a_damaged_file_in_the_cache_is_fetched_again(small):
    folder = datasets.cache_folder()
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(CONTENTS["cifar-10-binary.tar.gz"][:-1])
    assert not datasets.present("cifar10")
    assert datasets.load("cifar10", progress=False).classes == 10
    assert len(small.asked) == 1


def test_another_hash_is_one_clear_error_and_leaves_nothing(small):
    small.files["cifar-10-binary.tar.gz"] = archive(cifar100_members())
    with pytest.raises(DownloadError, match="gives a file with another MD5") as found:
        datasets.load("cifar10", progress=False)
    text = str(found.value)
    assert "\n" not in text
    file = datasets.SOURCES["cifar10"].files[0]
    assert f"Put the file cifar-10-binary.tar.gz ({file.size} bytes, MD5 {file.md5}" in text
    assert str(datasets.cache_folder()) in text
    assert cached() == []


def test_a_truncated_transfer_leaves_nothing(small):
    small.cut["cifar-10-binary.tar.gz"] = 3000
    with pytest.raises(DownloadError, match="does not answer as it should"):
        datasets.load("cifar10", progress=False)
    assert cached() == []
    assert len(small.asked) == download.ROUNDS
    small.cut.clear()
    assert datasets.load("cifar10", progress=False).classes == 10


def test_a_passing_fault_is_survived(small):
    small.refuse = download.ROUNDS - 1
    assert datasets.load("cifar10", progress=False).classes == 10
    assert len(small.asked) == download.ROUNDS


def test_a_server_that_is_down(small, monkeypatch):
    gone = replace(datasets.SOURCES["cifar10"], addresses=("http://127.0.0.1:9/",))
    monkeypatch.setitem(download.SOURCES, "cifar10", gone)
    with pytest.raises(DownloadError) as found:
        datasets.load("cifar10", progress=False)
    assert re.fullmatch(
        r"cifar10 could not be fetched: http://127.0.0.1:9/ does not answer as it should "
        r"\(ConnectionError\)\. Nothing was kept\. Put the file cifar-10-binary\.tar\.gz .* into "
        r"'.*', or name the folder that has it in COMPANION_DATA\.",
        str(found.value),
    )


def test_mirrors_are_tried_in_order(small, monkeypatch):
    refusing = small.address.replace("/good/", "/refusing/")
    two = replace(datasets.SOURCES["mnist"], addresses=(refusing, small.address))
    monkeypatch.setitem(download.SOURCES, "mnist", two)
    assert datasets.load("mnist", progress=False).classes == 10
    assert [path.split("/")[1] for path in small.asked] == ["refusing", "good"] * 4
    monkeypatch.setitem(download.SOURCES, "mnist", replace(two, addresses=(refusing, refusing)))
    (datasets.cache_folder() / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DownloadError, match=r"\(status 403\); .* \(status 403\)"):
        datasets.load("mnist", progress=False)


def test_an_interrupted_transfer_leaves_nothing_that_looks_complete(small, monkeypatch):
    from pooch import HTTPDownloader

    def interrupted(_self, _url, output, _pooch, **_kwargs):
        Path(output).write_bytes(CONTENTS["cifar-10-binary.tar.gz"][:2000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HTTPDownloader, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            datasets.load("cifar10", progress=False)
    assert "cifar-10-binary.tar.gz" not in cached()
    assert not datasets.present("cifar10")
    assert datasets.load("cifar10", progress=False).classes == 10


def test_a_cache_that_cannot_be_written(small, tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("here")
    monkeypatch.setenv(datasets.DATA_VARIABLE, str(blocker))
    with pytest.raises(DownloadError, match=f"cifar10 could not be fetched: .*{blocker}"):
        datasets.load("cifar10", progress=False)
    assert blocker.read_text() == "here"


def test_a_bar_shows_the_transfer(small, capsys):
    datasets.load("cifar10")
    assert "100%" in capsys.readouterr().err


def test_the_cache_of_the_user(monkeypatch):
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    assert "residual-scaling" in str(datasets.cache_folder())
    monkeypatch.setenv(datasets.DATA_VARIABLE, "~/data")
    assert str(datasets.cache_folder()) == os.path.expanduser("~/data")


@pytest.mark.parametrize(("module", "name"), [("sklearn", "digits"), ("pooch", "mnist")])
def test_a_missing_extra_is_named(module, name, monkeypatch):
    monkeypatch.delenv(datasets.DATA_VARIABLE, raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *rest: None if n == module else find(n, *rest)
    )
    with pytest.raises(MissingExtraError, match=rf"{module} is needed to .*scaling\[learn\]"):
        datasets.load(name)


def test_the_table_of_sources():
    """Hashes as published by the CIFAR page and by torchvision."""
    published = {
        "cifar10": {"c32a1d4ab5d03f1284b67883e8d87530"},
        "cifar100": {"03b5dce01913d631647c71ecec9e9cb8"},
        "mnist": {
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        },
    }
    assert set(sources.SOURCES) == set(published)
    for name, source in sources.SOURCES.items():
        assert {file.md5 for file in source.files} == published[name]
        assert source.hashes
        assert all(address.endswith("/") for address in source.addresses)
        assert source.size > 10**7


@pytest.mark.parametrize("name", ["digits", "imagenet"])
def test_what_cannot_be_fetched_is_named(name):
    for function in (datasets.fetch, datasets.present):
        with pytest.raises(ValueError, match=f"name of a data set that is fetched .* got '{name}'"):
            function(name)


def test_a_folder_of_nobody_is_a_value_error(monkeypatch):
    monkeypatch.setenv(datasets.DATA_VARIABLE, "~nosuchuser/x")
    with pytest.raises(ValueError, match="COMPANION_DATA must name a folder"):
        datasets.cache_folder()


def test_data_of_a_wrong_kind_are_named():
    digits = datasets.load()
    with pytest.raises(TypeError, match="x_train must be float32 and y_train int64"):
        replace(digits, x_train=digits.x_train.astype(np.float64))
    with pytest.raises(ValueError, match="y_test must lie between 0 and 9"):
        replace(digits, y_test=digits.y_test + 5)
    with pytest.raises(ValueError, match="x_test must have the 64 features"):
        replace(digits, x_test=digits.x_test[:, :3])
    with pytest.raises(TypeError, match="x_validation and y_validation must be arrays"):
        replace(digits, x_validation=digits.x_test)
    with pytest.raises(ValueError, match="x_train must vary to be standardized"):
        replace(digits, x_train=np.ones_like(digits.x_train)).standardized()


@pytest.mark.parametrize(
    ("fraction", "seed", "message"),
    [(0.2, None, "seed must be an integer"), (0.2, -1, "seed must be"), (1e-4, 0, "fraction must")],
)
def test_bad_splits_are_named(fraction, seed, message):
    with pytest.raises(ValueError, match=message):
        datasets.load().hold_out(fraction, seed=seed)
