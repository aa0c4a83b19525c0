"""What may lie in the place of a file or a directory."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path


def here(path: bytes) -> Path:
    return Path(os.fsdecode(path))


def a_file(path: bytes, _: Path) -> None:
    here(path).write_bytes(b'{"run_id": "here"}')


def no_json(path: bytes, _: Path) -> None:
    here(path).write_bytes(b"\xff[[")


def a_sparse_file(path: bytes, _: Path) -> None:
    with here(path).open("xb") as file:
        file.truncate(2**33)


def a_full_directory(path: bytes, outside: Path) -> None:
    here(path).mkdir()
    a_file(path + b"/inside", outside)


def a_socket(path: bytes, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(here(path).parent, os.O_RDONLY)
        try:
            server.bind(b"/proc/self/fd/%d/%b" % (folder, os.fsencode(here(path).name)))
        finally:
            os.close(folder)


def a_device(path: bytes, _: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero; for root only


def unreadable(path: bytes, outside: Path) -> None:
    a_file(path, outside)
    here(path).chmod(0)


KINDS: dict[str, Callable[[bytes, Path], None]] = {
    "file": a_file,
    "no JSON": no_json,
    "sparse": a_sparse_file,
    "directory": lambda path, _: here(path).mkdir(),
    "full directory": a_full_directory,
    "FIFO": lambda path, _: os.mkfifo(path),
    "socket": a_socket,
    "device": a_device,
    "unreadable": unreadable,
    "link out": lambda path, outside: here(path).symlink_to(outside / "secret"),
    "link to a directory": lambda path, outside: here(path).symlink_to(outside),
    "link up": lambda path, _: here(path).symlink_to(".."),
    "link to itself": lambda path, _: here(path).symlink_to(here(path)),
    "link to a FIFO": lambda path, outside: here(path).symlink_to(outside / "fifo"),
    "link to a device": lambda path, _: here(path).symlink_to("/dev/zero"),
    "dangling": lambda path, _: here(path).symlink_to("nowhere"),
}
"""Each puts itself at a path, given beside it a directory elsewhere with a ``secret`` and a ``fifo``."""
