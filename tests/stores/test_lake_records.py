"""Records in a folder and in fsspec's memory."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from uuid import uuid4

import pytest

from mlops_dagster.errors import ConflictError, StoreError
from mlops_dagster.records import Snapshot
from mlops_dagster.stores.lake_records import LakeRecords, create_file
from mlops_dagster.testing.records import ADDRESS, SNAPSHOT, RecordStoreContract


class TestLocalRecords(RecordStoreContract):
    @pytest.fixture
    def records(self, tmp_path):
        return LakeRecords(str(tmp_path / "a lake"))


class TestRemoteRecords(RecordStoreContract):
    @pytest.fixture
    def records(self):
        return LakeRecords(f"memory://{uuid4().hex}/records")


def test_a_broken_file_is_a_store_error(tmp_path):
    records = LakeRecords(str(tmp_path))
    for content in ("{", "[]", "{}"):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(StoreError, match="this is no record"):
            records.read("x.json", Snapshot)


def test_an_unreachable_root_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="record store: no answer"):
        LakeRecords(str(tmp_path / "file")).write(ADDRESS, SNAPSHOT)


def test_an_unknown_kind_of_address_is_a_store_error():
    with pytest.raises(StoreError, match="record store: no answer from nothing://x"):
        LakeRecords("nothing://x").write(ADDRESS, SNAPSHOT)


def test_of_processes_that_write_one_file_at_once_one_wins(tmp_path):
    path = tmp_path / "one" / "file"
    said = [str(number).encode() * 1000 for number in range(12)]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        won = list(pool.map(create_file, [path] * len(said), said))
    assert sum(won) == 1
    assert path.read_bytes() == str(won.index(True)).encode() * 1000
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_nothing_is_lost_when_another_record_is_refused(tmp_path):
    records = LakeRecords(str(tmp_path))
    records.write(ADDRESS, SNAPSHOT)
    with pytest.raises(ConflictError):
        records.write(ADDRESS, Snapshot(**{**_fields(), "through": 2}))
    assert len(list(tmp_path.rglob("*"))) == len(ADDRESS.path.split("/"))


def _fields():
    return {name: getattr(SNAPSHOT, name) for name in Snapshot.__dataclass_fields__}
