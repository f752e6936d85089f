"""Fetching a file once, with an error that says what to do where there is no network."""

import re
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from xai_detect.detectors.weights.checkpoint import digest
from xai_detect.errors import InputError, WeightsError
from xai_detect.values.files import replacing, write_bytes

PATIENCE = 2.0
"""Seconds to wait for a connection before the network counts as absent."""

PIECE = 1 << 20
"""Bytes that are read at a time."""


def cache() -> Path:
    """Where downloaded weights are kept: torch's own cache."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(url: str, path: Path) -> Path:
    """Download a file, whole or not at all.

    Raises:
        WeightsError: If it cannot be had; the message holds the address and where to put the file.
        DiskError: If it cannot be written.
    """
    with replacing(path) as stream:
        for piece in _pieces(url, path):
            stream.write(piece)
    return path


def _pieces(url: str, path: Path) -> Iterator[bytes]:
    try:
        _await_answer(url)
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            while piece := answer.read(PIECE):
                yield piece
    except OSError as error:
        raise WeightsError(
            f"{path.name} is not on this machine and could not be downloaded ({error}); "
            f"download {url} and put it at {path}"
        ) from error


def _await_answer(url: str) -> None:
    """Give up soon on a host that does not answer; looking up its name alone can hang for long."""
    if urllib.request.getproxies():
        return
    host, answers = urllib.parse.urlsplit(url).hostname, list[bool]()

    def knock() -> None:
        try:
            socket.create_connection((host, 443), timeout=PATIENCE).close()
        except OSError:
            return
        answers.append(True)

    attempt = threading.Thread(target=knock, daemon=True)
    attempt.start()
    attempt.join(PATIENCE)
    if not answers:
        raise OSError(f"no answer from {host}")


def checked_digest(file: Path) -> str:
    """The digest of a file in the cache: what its published name promises, or as at its first use.

    A name without a promise is trusted once: the digest is kept beside the file.

    Raises:
        WeightsError: If it is another.
    """
    sha256, promised = digest(file), re.search(r"-([0-9a-f]{8,})\.", file.name)
    if promised and not sha256.startswith(promised[1]):
        raise WeightsError(
            f"{file} has sha256 {sha256[:12]}..., but its name promises {promised[1]}...: "
            "delete it and download it again"
        )
    if not promised:
        _compare(file, sha256)
    return sha256


def _compare(file: Path, sha256: str) -> None:
    kept = file.with_name(f"{file.name}.sha256")
    try:
        first = kept.read_text().strip()
    except FileNotFoundError:
        with suppress(InputError):  # a cache that cannot be written
            write_bytes(kept, f"{sha256}\n".encode())
        return
    if first != sha256:
        raise WeightsError(
            f"{file} has sha256 {sha256[:12]}..., but had {first[:12]}... when it was first used: "
            f"delete it to download it again, or delete {kept.name} if you replaced it yourself"
        )
