"""The ledger of finished files, and the index that is made of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest
from builders import (
    BATCH_SIZE,
    SEQUENCE_LENGTH,
    TIME,
    identity_of_tests,
    layout_in,
    new_layout,
    write_run,
)
from datasets import everything, index_of
from hypothesis import given, settings
from hypothesis import strategies as st

from synexs_async.missions.mission import OUTCOME_NAMES
from synexs_async.missions.team_features import FEATURE_NAMES
from synexs_async.storage.index import dataset_digest, write_index
from synexs_async.storage.journal import Layout
from synexs_async.storage.ledger import Entry, Ledger, encode_line


def journal_entry(number: int) -> Entry:
    """Describe a journal file of 10 missions."""
    file = f"missions/mission_{10 * number:09d}.jsonl"
    return Entry(file, 10 * number, 10, 1000 + number, f"{number:064x}")


def batch_entry(number: int) -> Entry:
    """Describe a batch of 4 missions."""
    digests = f"{number:064x}", f"{number + 1:064x}"
    return Entry(f"batches/batch_{number:06d}.pt", 4 * number, 4, 2000 + number, *digests, 4)


entries = st.lists(
    st.builds(journal_entry, st.integers(0, 50)) | st.builds(batch_entry, st.integers(0, 50)),
    max_size=20,
    unique_by=lambda entry: entry.file,
)
# Lines that are no entries: torn ones, other JSON, entries with a key too many.
garbage = st.sampled_from(
    [
        b"\n",
        b"{}\n",
        b"\x00\x00\x00\n",
        b"\xff\xfe\n",
        b'"text"\n',
        encode_line(batch_entry(1))[:-5] + b"\n",
        msgspec.json.encode(batch_entry(1)) + b"\n",
        encode_line(batch_entry(1)).replace(b'"size":2001', b'"size":2002'),
        msgspec.json.encode({**msgspec.to_builtins(batch_entry(1)), "more": 1}) + b"\n",
    ]
)


class TestLedger:
    """Entries of finished files, one JSON line each."""

    def test_a_run_without_finished_files_has_no_entries(self, tmp_path: Path) -> None:
        """A ledger that is not there is an empty one."""
        assert [] == list(Ledger(tmp_path / "ledger.jsonl").entries())

    @settings(max_examples=30, deadline=None)
    @given(st.lists(entries, max_size=5))
    def test_entries_come_back_in_the_order_in_which_they_were_added(
        self, groups: list[list[Entry]]
    ) -> None:
        """What is appended is read again, in order, by another object as well."""
        with new_layout() as layout:
            for group in groups:
                Ledger(layout.folder.ledger).append(group)

            expected = [entry for group in groups for entry in group]
            assert expected == list(Ledger(layout.folder.ledger).entries())

    def test_entries_are_lines_of_json(self, tmp_path: Path) -> None:
        """Any program can read the ledger; content and rows are told of batches alone."""
        ledger = Ledger(tmp_path / "ledger.jsonl")
        ledger.append([journal_entry(0), batch_entry(3)])

        lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]

        keys = ["file", "first", "missions", "size", "sha256"]
        assert [[*keys, "check"], [*keys, "content_sha256", "rows", "check"]] == [
            list(line) for line in lines
        ]
        assert ["missions/mission_000000000.jsonl", "batches/batch_000003.pt"] == [
            line["file"] for line in lines
        ]

    def test_appending_only_adds(self, tmp_path: Path) -> None:
        """What stands in the ledger already is not written again."""
        ledger = Ledger(tmp_path / "ledger.jsonl")
        ledger.append([batch_entry(0)])
        before = ledger.path.read_bytes()

        ledger.append([])
        assert before == ledger.path.read_bytes()
        ledger.append([batch_entry(1)])
        assert ledger.path.read_bytes().startswith(before)

    @settings(max_examples=30, deadline=None)
    @given(entries, st.data())
    def test_lines_that_are_no_entries_are_passed_over(
        self, entries: list[Entry], data: st.DataObject
    ) -> None:
        """A damaged line costs its own file's entry, and no other."""
        with new_layout() as layout:
            lines = [encode_line(entry) for entry in entries]
            for _ in range(3):
                lines.insert(data.draw(st.integers(0, len(lines))), data.draw(garbage))
            layout.folder.ledger.write_bytes(b"".join(lines))

            assert entries == list(Ledger(layout.folder.ledger).entries())

    @settings(max_examples=30, deadline=None)
    @given(entries, st.sets(st.integers(0, 30)))
    def test_keeping_some_entries_keeps_their_order(
        self, entries: list[Entry], unwanted: set[int]
    ) -> None:
        """Entries that are not wanted go, all others stay as they were."""
        with new_layout() as layout:
            ledger = Ledger(layout.folder.ledger)
            ledger.append(entries)

            ledger.keep(lambda entry: entry.first not in unwanted)

            expected = [entry for entry in entries if entry.first not in unwanted]
            assert expected == list(ledger.entries())

    @settings(max_examples=50, deadline=None)
    @given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)), st.data())
    def test_inserted_entries_come_to_stand_in_their_places(
        self, journals: set[int], batches: set[int], data: st.DataObject
    ) -> None:
        """Afterwards batches stand in their order, and so do journal files."""
        journal_files = list(map(journal_entry, sorted(journals)))
        batch_files = list(map(batch_entry, sorted(batches)))
        missing = data.draw(st.sets(st.sampled_from([*journal_files, *batch_files, None])))
        additions = data.draw(st.permutations([e for e in missing if e is not None]))
        with new_layout() as layout:
            ledger = Ledger(layout.folder.ledger)
            ledger.append(e for e in [*journal_files, *batch_files] if e not in missing)

            ledger.insert(additions)

            there = list(ledger.entries())
            assert batch_files == [entry for entry in there if entry.is_batch]
            assert journal_files == [entry for entry in there if not entry.is_batch]

    def test_entries_can_be_inserted_from_any_iterable(self, tmp_path: Path) -> None:
        """A generator is as good as a list."""
        ledger = Ledger(tmp_path / "ledger.jsonl")
        additions = [journal_entry(0), batch_entry(0), batch_entry(1)]

        ledger.insert(entry for entry in additions)

        assert additions == list(ledger.entries())


class TestIndex:
    """training_index.json of a complete run."""

    @pytest.fixture
    def layout(self, tmp_path: Path) -> Layout:
        """Make a complete run of 23 missions: 3 journal files, 6 batches, both ends short."""
        layout = layout_in(tmp_path)
        write_run(layout, 23, finish=True)
        return layout

    def test_the_index_has_the_documented_fields(self, layout: Layout) -> None:
        """A loader finds what it needs to know in the index."""
        index = index_of(layout.folder.path)

        expected = {
            "missions": 23,
            "total_batches": 6,
            "batch_size": BATCH_SIZE,
            "sequence_length": SEQUENCE_LENGTH,
            "feature_names": list(FEATURE_NAMES),
            "label_names": ["success", "failure", "aborted"],
            "identity": json.loads(msgspec.json.encode(identity_of_tests())),
            "created": TIME,
            "cuda_available": False,
            "batch_files": [f"batch_{number:06d}.pt" for number in range(6)],
        }
        assert expected == {name: index[name] for name in expected}
        others = {"dataset_sha256", "batches", "journal_files"}
        assert others == set(index) - set(expected)

    def test_the_index_describes_every_file(self, layout: Layout) -> None:
        """Each file's rows, size and SHA-256 stand in the index, in order."""
        index, folder = index_of(layout.folder.path), layout.folder.path
        files = everything(folder)
        batches = [name for name in files if name.endswith(".pt")]
        journals = [name for name in files if name.startswith("missions/")]

        assert batches == [entry["file"] for entry in index["batches"]]
        assert journals == [entry["file"] for entry in index["journal_files"]]
        assert [4, 4, 4, 4, 4, 3] == [entry["rows"] for entry in index["batches"]]
        assert [10, 10, 3] == [entry["rows"] for entry in index["journal_files"]]
        assert [0, 4, 8, 12, 16, 20] == [entry["first_mission"] for entry in index["batches"]]
        assert [0, 10, 20] == [entry["first_mission"] for entry in index["journal_files"]]
        for entry in index["batches"] + index["journal_files"]:
            data = files[entry["file"]]
            assert data is not None
            assert (len(data), hashlib.sha256(data).hexdigest()) == (
                *(entry["bytes"], entry["sha256"]),
            )

    def test_the_data_set_digest_is_the_documented_one(self, layout: Layout) -> None:
        """It can be computed from the index alone: a line for each file, journal first."""
        index = index_of(layout.folder.path)
        lines = [f"{entry['file']} {entry['sha256']}\n" for entry in index["journal_files"]]
        lines += [f"{entry['file']} {entry['content_sha256']}\n" for entry in index["batches"]]

        expected = hashlib.sha256("".join(lines).encode()).hexdigest()

        assert expected == index["dataset_sha256"]

    def test_time_and_machine_are_not_in_the_data_set_digest(self, layout: Layout) -> None:
        """Two machines can tell that they hold the same data set by one number."""
        before = index_of(layout.folder.path)
        last = [entry for entry in entries_of(before) if entry.missions not in (4, 10)]

        digest = write_index(
            layout.folder,
            identity_of_tests(),
            missions=23,
            feature_names=FEATURE_NAMES,
            label_names=OUTCOME_NAMES,
            last=last,
            created="another day",
            cuda_available=True,
        )

        after = index_of(layout.folder.path)
        assert before["dataset_sha256"] == digest
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"created", "cuda_available"}

    def test_the_data_set_digest_sees_every_file(self) -> None:
        """Another byte of a journal file, another content of a batch, another order: all show."""
        journals, batches = [journal_entry(0), journal_entry(1)], [batch_entry(0), batch_entry(1)]
        other_journal = msgspec.structs.replace(journals[1], sha256="0" * 64)
        other_batch = msgspec.structs.replace(batches[1], content_sha256="0" * 64)
        other_container = msgspec.structs.replace(batches[1], sha256="0" * 64)

        digest = dataset_digest(journals, batches)

        assert digest != dataset_digest([journals[0], other_journal], batches)
        assert digest != dataset_digest(journals, [batches[0], other_batch])
        assert digest != dataset_digest(journals[::-1], batches)
        assert digest != dataset_digest(journals, batches[:1])
        assert digest == dataset_digest(journals, [batches[0], other_container])

    @pytest.mark.parametrize("count", [1, 4, 10, 20, 21])
    def test_the_index_is_json_whatever_there_is(self, tmp_path: Path, count: int) -> None:
        """With and without short files at the end, all missions are accounted for."""
        layout = layout_in(tmp_path)
        write_run(layout, count, finish=True)

        index = index_of(tmp_path)

        assert count == sum(entry["rows"] for entry in index["batches"])
        assert count == sum(entry["rows"] for entry in index["journal_files"])
        assert len(index["batch_files"]) == index["total_batches"]


def entries_of(index: dict[str, list[dict[str, object]]]) -> list[Entry]:
    """Make entries again from an index."""
    found = []
    for described in index["journal_files"] + index["batches"]:
        is_batch = "content_sha256" in described
        rows = described["rows"]
        fields = {
            "file": described["file"],
            "first": described["first_mission"],
            "missions": rows,
            "size": described["bytes"],
            "sha256": described["sha256"],
            "content_sha256": described.get("content_sha256", ""),
            "rows": rows if is_batch else 0,
        }
        found.append(msgspec.convert(fields, Entry))
    return found


def test_entries_that_are_added_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    """Batches made again are inserted while journal files fill: neither costs the other."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    inserted = Event()
    appended: list[Entry] = []

    def fill_files() -> None:
        while not inserted.is_set():
            appended.append(journal_entry(len(appended)))
            ledger.append(appended[-1:])

    thread = Thread(target=fill_files)
    thread.start()
    for number in range(5):
        ledger.insert([batch_entry(number)])
    inserted.set()
    thread.join()
    there = list(ledger.entries())
    assert appended == [entry for entry in there if not entry.is_batch]
    assert [batch_entry(number) for number in range(5)] == [e for e in there if e.is_batch]
