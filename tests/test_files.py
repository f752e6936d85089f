"""A file is there whole or not at all, and what the disk refuses is one sentence."""

import errno
import hashlib

import pytest

from xai_detect.errors import DiskError, InputError
from xai_detect.values import files
from xai_detect.values.files import (
    FolderLock,
    append_line,
    file_sha256,
    replacing,
    write_bytes,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made_and_files_replaced(tmp_path):
    path = tmp_path / "one" / "two" / "a.bin"
    write_bytes(path, b"first")
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(path.parent) == ["a.bin"]


def test_nothing_is_seen_under_the_name_before_all_is_written(tmp_path):
    path = tmp_path / "a.bin"
    with replacing(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
        assert len(names(tmp_path)) == 1
        (temporary,) = names(tmp_path)
        assert temporary.startswith(".")
        assert temporary.endswith(files.PART)
    assert names(tmp_path) == ["a.bin"]


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def interrupted():
        with replacing(path) as stream:
            stream.write(b"new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full.*what was written before is kept"),
        (errno.EDQUOT, "the disk is full.*what was written before is kept"),
        (errno.EIO, r"could not be written \(broken\); choose a folder"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence(tmp_path, number, words):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(DiskError, match=words) as caught, replacing(path):
        raise OSError(number, "broken")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_refusal_without_a_reason_says_what_it_can(tmp_path):
    with pytest.raises(DiskError, match=r"\(odd\)"), replacing(tmp_path / "a.bin"):
        raise OSError("odd")


def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DiskError, match="could not be written"):
        write_bytes(tmp_path / "a" / "b.bin", b"")


def test_lines_are_added_and_the_others_left_alone(tmp_path):
    for line in ("one", "two"):
        append_line(tmp_path / "a.txt", line)
    assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\n"
    with pytest.raises(DiskError, match="could not be written"):
        append_line(tmp_path / "gone" / "a.txt", "one")


def test_a_digest_is_that_of_the_bytes_and_nothing_has_none(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"some bytes")
    assert file_sha256(tmp_path / "a.bin") == hashlib.sha256(b"some bytes").hexdigest()
    for nothing in (tmp_path / "gone", tmp_path, tmp_path / "a.bin" / "b"):
        assert file_sha256(nothing) == ""


def test_a_folder_has_one_writer_until_it_is_closed(tmp_path):
    folder = tmp_path / "new" / "run"
    first = FolderLock(folder)
    assert not first.closed
    with pytest.raises(InputError, match="being written by someone else"):
        FolderLock(folder)
    first.close()
    assert first.closed
    second = FolderLock(folder)
    assert not second.closed
    del second  # one that is forgotten holds nothing
    FolderLock(folder).close()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DiskError, match="could not be written"):
        FolderLock(tmp_path / "a" / "run")
