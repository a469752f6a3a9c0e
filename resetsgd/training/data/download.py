"""Downloads that are pinned by SHA-256, go on where they stopped, and never leave half a file."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.training.data.files import FILES, another, data_root

__all__ = ["download", "fetch"]

_CHUNK = 2**18
_LARGEST = 2**34
_PARTIAL, _UNSATISFIABLE = 206, 416
_OF_THE_NET = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
"""Failures worth another attempt; other errors of the system are those of the disk."""


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str,
    attempts: int = 5,
    timeout: float = 30.0,
) -> Path:
    """Fetch one file of known SHA-256; a file that is there already is verified, not fetched.

    What arrives is kept beside the target under the name ``<name>.part``: a broken transfer goes on
    from there, in this call or a later one, if the server can, and from the start if it cannot. The
    target appears only whole and verified.

    Parameters
    ----------
    url : str
        Address, http or https.
    path : path
        Where the file goes; folders are made.
    sha256 : str
        SHA-256 of the file, 64 hexadecimal digits.
    attempts : int
        Connections tried before giving up, one or more.
    timeout : float
        Seconds without an answer after which a connection is given up.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DomainError
        For an address or digest that is none.
    CorruptData
        If the file there, or what was fetched, has another SHA-256; the text names the file. What
        was fetched is removed.
    OutputError
        If it cannot be fetched or written.

    Examples
    --------
    >>> fetch("file:///etc/passwd", "copy", sha256="0" * 64)
    Traceback (most recent call last):
    resetsgd.errors.DomainError: url = 'file:///etc/passwd': must be an address http:// or https://
    """
    if not url.startswith(("http://", "https://")):
        raise DomainError("url", url, "an address http:// or https://")
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise DomainError("sha256", sha256, "64 hexadecimal digits")
    attempts = domain.integer("attempts", attempts, 1)
    domain.positive("timeout", timeout)
    target = Path(path)
    if target.is_file():
        _verify(target, sha256)
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        failure = _persist(url, part, attempts, timeout)
        if failure is not None:
            raise OutputError(f"{target}: cannot be fetched from {url}: {failure}")
        try:
            _verify(part, sha256, shown=target)
        except CorruptData:
            part.unlink()
            raise
        part.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target


def download(name: str, folder: str | Path | None = None) -> tuple[Path, ...]:
    """Fetch the files of a data set that are not there yet.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "cifar10", "cifar100", "cifar10n", "cifar100n"}
        The data set.
    folder : path, optional
        Where to; files go into a folder of the data set's name in it. By default the folder that
        the variable ``RESETSGD_DATA`` names.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    DomainError
        For an unknown name, or a folder that does not exist.
    CorruptData, OutputError
        As :func:`fetch`.

    Notes
    -----
    The labels of CIFAR-10N and CIFAR-100N are CC BY-NC 4.0: not for commercial use.
    """
    offered = tuple(key for key, files in FILES.items() if all(file.urls for file in files))
    root = data_root(folder)
    found = []
    for known in FILES[domain.choice("name", name, offered)]:
        path = root / name / known.name
        # a copy that lies in the folder itself serves too
        path = root / known.name if (root / known.name).is_file() else path
        found.append(fetch(known.urls[0], path, sha256=known.sha256))
    return tuple(found)


def _persist(url: str, part: Path, attempts: int, timeout: float) -> Exception | None:
    """Try until the transfer is whole; what stopped it for good, if anything did."""
    failure: Exception | None = None
    for attempt in range(attempts):
        if attempt:
            time.sleep(min(0.1 * 2.0**attempt, 5.0))
        try:
            _transfer(url, part, timeout)
        except urllib.error.HTTPError as error:
            failure = error
            error.close()
            if error.code < 500 and error.code != 429:
                return failure  # it will not be otherwise the next time
        except _OF_THE_NET as error:
            failure = error
        else:
            return None
    return failure


def _transfer(url: str, part: Path, timeout: float) -> None:
    """Append what is missing to the part, or write it from the start if the server must."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "resetsgd"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if have and error.code == _UNSATISFIABLE:
            error.close()
            return  # all of it is there; its digest decides
        raise
    with response:
        goes_on = response.status == _PARTIAL and response.headers.get(
            "Content-Range", ""
        ).startswith(f"bytes {have}-")
        expected = response.headers.get("Content-Length")
        got = 0
        with part.open("ab" if have and goes_on else "wb") as file:
            while chunk := response.read(_CHUNK):
                got += len(chunk)
                if got > _LARGEST:
                    raise http.client.HTTPException("the answer does not end")
                file.write(chunk)
        if expected is not None and got < int(expected):
            raise http.client.IncompleteRead(b"", int(expected) - got)


def _verify(path: Path, sha256: str, *, shown: Path | None = None) -> None:
    """``CorruptData`` unless the file has this SHA-256."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise another(shown or path, found, sha256)
