"""Batches: consecutive missions as tensors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import (
    MISSION,
    layout_in,
    missions,
    missions_with_errors,
    new_layout,
    rows_of,
    setup_of,
    split,
)
from datasets import everything
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async import Block
from synexs_async.missions.failed import read_block
from synexs_async.storage.batch import content_digest, write_batches
from synexs_async.storage.files import temporary_files
from synexs_async.storage.journal import Layout
from synexs_async.storage.ledger import Entry
from synexs_async.storage.protocol import (
    HEADER_BYTES,
    BatchCheck,
    BatchRows,
    decode_request,
    decode_setup,
    frame,
    payload_length,
)


def load(layout: Layout, number: int) -> dict[str, Any]:
    """Load a batch in the way that is promised to work."""
    file = layout.folder.batch_file(number)
    content: dict[str, Any] = torch.load(file, weights_only=True, mmap=True)
    return content


def write(layout: Layout, block: Block, sequence_length: int = 50) -> list[Entry]:
    """Write a block's batches."""
    return write_batches(rows_of(block), setup_of(layout, sequence_length))


class TestContent:
    """What a batch file holds."""

    def test_a_batch_is_a_dict_of_plain_types_and_tensors(self, tmp_path: Path) -> None:
        """It loads with weights_only and mmap, and has the documented keys, types and shapes."""
        layout = layout_in(tmp_path, batch_size=32)
        write(layout, missions(0, 64))

        content = load(layout, 1)

        keys = ["features", "labels", "metadata", "batch_id", "batch_size", "first_mission"]
        assert keys == list(content)
        assert content["features"].dtype == torch.float32
        assert content["labels"].dtype == torch.int64
        assert content["features"].shape == (32, 50, 24)
        assert content["labels"].shape == (32,)
        scalars = (content["batch_id"], content["batch_size"], content["first_mission"])
        assert scalars == (1, 32, 32)

    def test_a_batch_is_the_missions_of_its_number(self, tmp_path: Path) -> None:
        """Labels, metadata and features are those of missions 32 b to 32 b + 31."""
        layout = layout_in(tmp_path, batch_size=32)
        write(layout, missions(0, 96))

        for number in range(3):
            content, block = load(layout, number), missions(32 * number, 32 * number + 32)
            assert block.labels.tolist() == content["labels"].tolist()
            expected = [
                {
                    "mission_id": record["mission_id"],
                    "duration": record["duration"],
                    "status": record["status"],
                    "efficiency": record["metrics"]["efficiency"],
                }
                for record in map(json.loads, block.lines)
            ]
            assert expected == content["metadata"]
            assert [list(entry) for entry in expected] == [list(e) for e in content["metadata"]]
            features = content["features"].numpy()
            assert block.features[:, :4].tobytes() == features[:, :4].tobytes()

    def test_padding_repeats_what_is_known_of_the_whole_mission(self, tmp_path: Path) -> None:
        """Rows behind the last message have zeros for messages and decisions, the rest as ever."""
        layout = layout_in(tmp_path, batch_size=32)
        write(layout, missions(0, 32))

        features = load(layout, 0)["features"].numpy()

        assert not features[:, 4:, :10].any()
        assert np.array_equal(
            np.broadcast_to(features[:, :1, 10:], features[:, :, 10:].shape), features[:, :, 10:]
        )

    @pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 200])
    def test_sequences_of_any_length_begin_alike(self, tmp_path: Path, length: int) -> None:
        """A shorter sequence leaves the last rows out, a longer one repeats more of the padding."""
        long, short = layout_in(tmp_path / "long"), layout_in(tmp_path / "short")
        write(long, missions(0, 4), sequence_length=300)
        write(short, missions(0, 4), sequence_length=length)

        features = load(short, 0)["features"]

        assert features.shape == (4, length, 24)
        assert torch.equal(load(long, 0)["features"][:, :length], features)

    def test_missions_that_raised_are_left_out(self, tmp_path: Path) -> None:
        """A batch holds just the missions of its range that ended."""
        layout = layout_in(tmp_path)
        failed = {1, 2, 6}

        entries = write(layout, missions_with_errors(0, 8, failed))

        kept = [[0, 3], [4, 5, 7]]
        for number, indices in enumerate(kept):
            content = load(layout, number)
            expected = [missions(index, index + 1) for index in indices]
            assert [block.ids[0] for block in expected] == [
                entry["mission_id"] for entry in content["metadata"]
            ]
            assert [block.labels[0] for block in expected] == content["labels"].tolist()
            assert len(indices) == content["batch_size"] == len(content["features"])
            assert 4 * number == content["first_mission"]
        assert [(4, 2), (4, 3)] == [(entry.missions, entry.rows) for entry in entries]

    def test_a_batch_of_which_all_missions_raised_is_empty(self, tmp_path: Path) -> None:
        """It is there all the same, so that numbers of batches have no gaps."""
        layout = layout_in(tmp_path)

        (entry,) = write(layout, missions_with_errors(0, 4, range(4)))

        content = load(layout, 0)
        assert content["features"].shape == (0, 50, 24)
        assert content["labels"].shape == (0,)
        assert content["labels"].dtype == torch.int64
        assert content["metadata"] == []
        assert (entry.missions, entry.rows) == (4, 0)

    def test_the_last_batch_holds_just_the_missions_that_remain(self, tmp_path: Path) -> None:
        """It is short, and never padded with copies."""
        layout = layout_in(tmp_path)

        entries = write(layout, missions(8, 15))

        assert [(8, 4), (12, 3)] == [(entry.first, entry.missions) for entry in entries]
        content = load(layout, 3)
        assert (content["batch_id"], content["batch_size"], content["first_mission"]) == (3, 3, 12)
        assert list(missions(12, 15).ids) == [e["mission_id"] for e in content["metadata"]]


class TestBytes:
    """The same missions give the same files."""

    def test_the_path_is_not_in_the_bytes(self, tmp_path: Path) -> None:
        """A batch can be written anywhere, under any temporary name."""
        one, other = layout_in(tmp_path / "a"), layout_in(tmp_path / "another" / "folder")
        write(one, missions(0, 8))
        write(other, missions(0, 8))

        assert everything(one.folder.path) == everything(other.folder.path)

    @settings(max_examples=15, deadline=None)
    @given(st.sets(st.integers(1, 5)), st.sets(st.integers(0, 22), max_size=5))
    def test_the_grouping_of_batches_is_not_in_the_bytes(
        self, borders: set[int], failed: set[int]
    ) -> None:
        """A worker may be handed one batch at a time or several: files and entries are the same."""
        block = missions_with_errors(0, 23, failed)
        with new_layout() as one, new_layout() as other:
            expected = write(one, block), everything(one.folder.path)

            parts = split(block, {4 * border for border in borders})
            entries = [entry for part in parts for entry in write(other, part)]

            assert expected == (entries, everything(other.folder.path))

    @settings(max_examples=15, deadline=None)
    @given(st.sets(st.integers(0, 10), max_size=4))
    def test_the_way_of_the_rows_is_not_in_the_bytes(self, failed: set[int]) -> None:
        """Simulated here, sent through a pipe, or read from the journal: the bytes are the same."""
        block = missions_with_errors(0, 11, failed)
        sent = decode_request(frame(rows_of(block))[HEADER_BYTES:])
        assert isinstance(sent, BatchRows)
        read = read_block(MISSION, 0, [bytes(bytearray(line)) for line in block.lines])
        alike = rows_of(block)
        alike.ids[:] = [mission_id[:1] + mission_id[1:] for mission_id in alike.ids]
        files = []
        for rows in (rows_of(block), sent, rows_of(read), alike):
            with new_layout() as layout:
                entries = write_batches(rows, setup_of(layout))
                files.append((entries, everything(layout.folder.path)))

        assert [files[0]] * 4 == files

    def test_another_process_writes_the_same_bytes(self, tmp_path: Path) -> None:
        """Which worker writes a batch, and what it has done before, can't be seen."""
        one, other = layout_in(tmp_path / "a"), layout_in(tmp_path / "b")
        write(one, missions(0, 8))
        program = (
            "import sys; from builders import *; from pathlib import Path\n"
            "layout = layout_in(Path(sys.argv[1]))\n"
            "write_batches(rows_of(missions(0, 8)), setup_of(layout, 50))\n"
        )
        here = Path(__file__).parent
        subprocess.run(
            [sys.executable, "-c", program, str(other.folder.path)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
                "PYTHONHASHSEED": "7",
            },
            check=True,
        )

        assert everything(one.folder.path) == everything(other.folder.path)

    def test_a_batch_that_is_written_again_replaces_the_first(self, tmp_path: Path) -> None:
        """A batch that a worker died over is made again, with the same bytes."""
        layout = layout_in(tmp_path)
        write(layout, missions(0, 4))
        before = everything(tmp_path)
        layout.folder.batch_file(0).write_bytes(b"torn")

        write(layout, missions(0, 4))

        assert before == everything(tmp_path)
        assert [] == list(temporary_files(layout.folder.batches))


class TestDigests:
    """What the ledger says of a batch."""

    def test_an_entry_describes_its_file(self, tmp_path: Path) -> None:
        """Name, range, size and SHA-256 are those of the file."""
        layout = layout_in(tmp_path)

        for number, entry in enumerate(write(layout, missions(0, 7))):
            data = layout.folder.batch_file(number).read_bytes()
            assert f"batches/batch_{number:06d}.pt" == entry.file
            assert (4 * number, min(4 * number + 4, 7)) == (entry.first, entry.end)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.size, entry.sha256)
            assert entry.is_batch

    def test_the_content_digest_is_that_of_the_loaded_batch(self, tmp_path: Path) -> None:
        """Whoever loads a batch can check its content, whatever torch wrote around it."""
        layout = layout_in(tmp_path)

        entries = write(layout, missions_with_errors(0, 7, {2}))

        loaded = [load(layout, number) for number in range(2)]
        assert [entry.content_sha256 for entry in entries] == [content_digest(c) for c in loaded]

    def test_the_content_digest_is_the_documented_one(self, tmp_path: Path) -> None:
        """It is a SHA-256 of one line of JSON and the tensors, and can be computed anywhere."""
        layout = layout_in(tmp_path)
        (entry,) = write(layout, missions(4, 8))
        content = load(layout, 1)
        header = {
            "batch_id": 1,
            "batch_size": 4,
            "first_mission": 4,
            "features": [4, 50, 24],
            "labels": [4],
            "metadata": content["metadata"],
        }
        line = json.dumps(header, separators=(",", ":")) + "\n"
        features = content["features"].numpy().astype("<f4").tobytes()
        labels = content["labels"].numpy().astype("<i8").tobytes()

        expected = hashlib.sha256(line.encode() + features + labels).hexdigest()

        assert expected == entry.content_sha256

    def test_the_content_digest_sees_every_part(self, tmp_path: Path) -> None:
        """Another value anywhere in a batch gives another digest."""
        layout = layout_in(tmp_path)
        write(layout, missions(0, 4))

        def changed(key: str, value: Any) -> str:
            content = torch.load(layout.folder.batch_file(0), weights_only=True)
            return content_digest({**content, key: value(content[key])})

        def other_value(tensor: torch.Tensor) -> torch.Tensor:
            tensor.view(-1)[-1] += 1
            return tensor

        digests = [
            changed("batch_id", lambda value: value),
            changed("batch_id", lambda value: value + 1),
            changed("batch_size", lambda value: value + 1),
            changed("first_mission", lambda value: value + 1),
            changed("features", other_value),
            changed("features", lambda value: value.reshape(4, 24, 50)),
            changed("labels", other_value),
            changed("metadata", lambda value: [*value[:-1], {**value[-1], "status": "error"}]),
        ]
        assert len(set(digests)) == len(digests)

    def test_the_content_digest_does_not_see_strides(self, tmp_path: Path) -> None:
        """Tensors that are equal have one digest, however they lie in memory."""
        layout = layout_in(tmp_path)
        (entry,) = write(layout, missions(0, 4))
        content = load(layout, 0)
        content["features"] = content["features"].transpose(1, 2).contiguous().transpose(1, 2)

        assert not content["features"].is_contiguous()
        assert entry.content_sha256 == content_digest(content)


class TestFrames:
    """What a run and its workers say to each other."""

    def test_messages_survive_the_way_to_a_worker(self, tmp_path: Path) -> None:
        """A frame is a length and a message, and decodes to what was sent."""
        setup, rows = setup_of(layout_in(tmp_path)), rows_of(missions(0, 5))

        for message, decode in (
            (setup, decode_setup),
            (rows, decode_request),
            (BatchCheck(rows), decode_request),
        ):
            sent = frame(message)
            header, payload = sent[:HEADER_BYTES], sent[HEADER_BYTES:]
            assert len(payload) == payload_length(header)
            assert message == decode(payload)
