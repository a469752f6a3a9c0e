"""Downloads from a server on this machine: resumed, verified, never half."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.training.data import download, fetch, files, mnist

CONTENT = np.random.default_rng(3).integers(0, 256, 1_500_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT, as well or badly as it is told, and notes what it was asked for."""

    content = CONTENT
    ranges = True
    breaks = 0
    status = 0
    asked: list[str | None]

    def url(self, name: str = "file.bin") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if server.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.end_headers()
        end = len(server.content)
        if server.breaks:
            server.breaks -= 1
            end = start + (end - start) // 3  # and the connection is closed
        self.wfile.write(server.content[start:end])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Server(("127.0.0.1", 0), Handler)
    running.asked = []
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_file_is_fetched_once_and_then_verified(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    assert fetch(server.url(), path, sha256=SHA256) == path
    assert path.read_bytes() == CONTENT
    fetch(server.url(), path, sha256=SHA256)
    assert server.asked == [None]
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CorruptData, match=r"file\.bin: SHA-256"):
        fetch(server.url(), path, sha256=SHA256)
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.breaks = 2
    fetch(server.url(), tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    first = len(CONTENT) // 3
    second = first + (len(CONTENT) - first) // 3
    assert server.asked == [None, f"bytes={first}-", f"bytes={second}-"]
    assert not (tmp_path / "file.bin.part").exists()


def test_a_later_call_resumes_an_earlier_one(server: Server, tmp_path: Path) -> None:
    server.breaks = 1
    path = tmp_path / "file.bin"
    with pytest.raises(OutputError, match=r"file\.bin: cannot be fetched"):
        fetch(server.url(), path, sha256=SHA256, attempts=1)
    assert not path.exists()
    fetch(server.url(), path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 3}-"]


def test_a_part_that_is_complete_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    fetch(server.url(), tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, 1
    fetch(server.url(), tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_another_file_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(CorruptData, match=r"file\.bin: SHA-256"):
        fetch(server.url(), tmp_path / "file.bin", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (503, 3)])
def test_a_server_that_refuses_is_told(
    status: int, tries: int, server: Server, tmp_path: Path
) -> None:
    server.status = status
    with pytest.raises(OutputError, match=f"cannot be fetched from .*{status}"):
        fetch(server.url(), tmp_path / "file.bin", sha256=SHA256, attempts=3)
    assert len(server.asked) == tries


def test_a_place_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(server.url(), tmp_path / "file" / "file.bin", sha256=SHA256)


def test_a_data_set_is_downloaded_into_the_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published table with the address of this server: the pinned digest refuses the rest."""
    offered = tuple(
        files.Published(f.name, SHA256, urls=(server.url(f.name),)) for f in files.FILES["mnist"]
    )
    monkeypatch.setitem(files.FILES, "mnist", offered)
    found = download("mnist", tmp_path)
    assert [path.parent.name for path in found] == ["mnist"] * 4
    with pytest.raises(CorruptData, match=r"mnist/train-images-idx3-ubyte\.gz: damaged"):
        mnist(tmp_path, download=True)  # four good downloads of what is no gzip file
    assert len(server.asked) == 4


def test_pins_are_digests_and_addresses_are_safe() -> None:
    for name, published in files.FILES.items():
        for file in published:
            assert len(file.sha256) == 64, name
            assert all(url.startswith("https://") for url in file.urls), name


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("url", lambda path: fetch("file:///etc/hostname", path, sha256=SHA256)),
        ("sha256", lambda path: fetch("https://localhost/x", path, sha256="abc")),
        ("attempts", lambda path: fetch("https://localhost/x", path, sha256=SHA256, attempts=0)),
        ("timeout", lambda path: fetch("https://localhost/x", path, sha256=SHA256, timeout=0)),
        ("name", lambda path: download("cifar11", path.parent)),
        ("name", lambda path: download("cifar10-pack", path.parent)),
        ("folder", lambda path: download("mnist", path)),
    ],
)
def test_what_cannot_be_fetched_is_named(name: str, call: Any, tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        call(tmp_path / "file.bin")
