"""What the sink refuses, and what it survives."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumer.broker.port import TopicSpec
from consumer.exceptions import UnknownSchema
from consumer.metric_families import REGISTRY
from consumer.model.codec import Codec
from consumer.model.registry import SchemaRegistryError
from consumer.model.topics import SYNC_LOG
from consumer.sink import sink as module
from consumer.sink.errors import SinkError, SinkInUse
from consumer.sink.files import UNFINISHED, replace_file
from consumer.sink.sink import Sink
from consumer.sink.state import STATE_FILE
from tests.sink.scene import RUN_FILE, Scene, drain, marker, result, texts


class Ignorant(Codec):
    """A codec from before anybody knew how to read Ben Bauer's result."""

    def decode(self, data: bytes, *types: type) -> object:  # type: ignore[override]
        """Raises UnknownSchema for that one."""
        if b"Ben Bauer" in data:
            raise UnknownSchema("No known schema has the fingerprint 00.")
        return super().decode(data, *types)


class Unreachable(Codec):
    """A codec whose registry does not answer."""

    def decode(self, *_arguments: object) -> object:  # type: ignore[override]
        """Raises SchemaRegistryError."""
        raise SchemaRegistryError("no answer", retriable=True)


def no_room(may_write: Callable[[Path], bool]) -> Callable[[Path, bytes], None]:
    """Stands for ``replace_file`` where there is room for some files only."""

    def replace(path: Path, content: bytes) -> None:
        if not may_write(path):
            raise OSError(28, "No space left on device")
        replace_file(path, content)

    return replace


def test_only_one_sink_may_write(scene: Scene) -> None:
    """A second sink on the same directory is refused; once the first is closed there is room for it."""
    first = scene.open()

    with pytest.raises(SinkInUse, match=f"another sink is writing to {scene.log_dir}"):
        scene.open()
    first.close()

    assert scene.open().step(0) == 0


def test_a_log_directory_belongs_to_one_topic(scene: Scene) -> None:
    """A directory with the logs of a topic is refused to the sink of another one."""
    scene.follow()
    scene.broker.ensure_topics([TopicSpec("test.sync-log", partitions=1)])

    with pytest.raises(SinkError, match=r"holds the logs of topic sync-log, not of test\.sync-log"):
        Sink(scene.broker, "test.sync-log", scene.codec, scene.log_dir)


def test_a_topic_that_was_made_anew_is_noticed(scene: Scene, tmp_path: Path) -> None:
    """Logs that are ahead of their topic belong to an earlier one of the same name: the sink says so."""
    scene.write(result(1))
    scene.follow()
    anew = Scene(tmp_path / "anew")

    with anew.broker, pytest.raises(SinkError, match="ahead of partition 0 of sync-log"):
        Sink(anew.broker, SYNC_LOG, scene.codec, scene.log_dir)


def test_a_state_of_a_newer_version_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state file of another version is left alone, and the error says how to go on."""
    scene.follow()
    monkeypatch.setattr("consumer.sink.state.VERSION", 1)

    with pytest.raises(
        SinkError, match="has version 3, this program writes version 1; move the log directory"
    ):
        scene.open()


def test_a_log_directory_that_cannot_be_made_is_named(scene: Scene, tmp_path: Path) -> None:
    """Where the directory should be there is a file: the error says which directory."""
    (tmp_path / "file").touch()

    with pytest.raises(SinkError, match=r"the log directory .*file/logs cannot be used"):
        scene.open(log_dir=tmp_path / "file" / "logs")


def test_a_state_file_that_is_something_else_is_refused(scene: Scene) -> None:
    """A damaged state file gives an error that names it, each time: the directory stays free."""
    scene.log_dir.mkdir()
    (scene.log_dir / STATE_FILE).write_bytes(b"no database" * 1000)

    for _ in range(2):
        with pytest.raises(SinkError, match=r"\.sink\.sqlite3: file is not a database"):
            scene.open()


def test_undecodable_records_are_counted_and_passed(scene: Scene) -> None:
    """Bytes that are no result stop nothing; their place but not their value is told, and stays known."""
    scene.write(marker(1), b"secret bytes", None, result(1))
    sink = scene.open()

    with capture_logs() as told:
        drain(sink)

    assert scene.status() == "complete"
    assert [(entry["topic"], entry["partition"], entry["offset"]) for entry in told] == [
        ("sync-log", 0, 1),
        ("sync-log", 0, 2),
    ]
    assert "secret" not in str(told)
    sink.close()
    assert scene.open().undecodable() == 2


def test_what_an_older_program_could_not_decode_is_decoded_after_an_upgrade(
    scene: Scene, tmp_path: Path
) -> None:
    """A start with newer schemas puts such records in their place, as if they had always been understood."""
    scene.write(marker(2), result(1), result(2, "Ben Bauer"))
    scene.follow(Ignorant())
    assert scene.status() == "running (1 of 2 results)"

    after = scene.open()
    drain(after)
    scene.follow(log_dir=tmp_path / "rebuilt")

    assert after.undecodable() == 0
    assert scene.files() == texts(tmp_path / "rebuilt")
    assert scene.status() == "complete"


def test_a_registry_that_does_not_answer_makes_nothing_undecodable(scene: Scene) -> None:
    """While the schema registry is away the sink waits: no record is taken for undecodable, none is lost."""
    scene.write(marker(1), result(1))
    with scene.open(Unreachable()) as away:
        for _ in range(2):
            with pytest.raises(SchemaRegistryError):
                away.step(0)
        assert away.undecodable() == 0

    scene.follow()

    assert scene.status() == "complete"


def test_a_file_that_cannot_be_written_stops_no_other_and_is_written_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no room for one file the step raises SinkError but writes the others; a later one makes good."""
    scene.write(marker(1), result(1), result(2, run_id=None, company_id=4200))
    sink = scene.open()
    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", no_room(lambda path: path.parent.name != "4100"))
        with pytest.raises(SinkError, match="No space left on device"):
            sink.step(0)
    assert list(scene.files()) == ["4200/users-20261123.txt"]

    assert sink.step(0) == 0

    assert scene.status() == "complete"


def test_a_batch_that_cannot_be_stored_is_stored_by_a_later_step(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the state takes no batch the step raises SinkError, and a later step takes the same records."""
    scene.write(marker(1), result(1))
    sink = scene.open()
    with monkeypatch.context() as patch:
        patch.setattr("consumer.sink.state.put", lambda db, _entries: db.execute("no such statement"))
        with pytest.raises(SinkError, match=r"\.sink\.sqlite3: "):
            sink.step(0)

    assert sink.step(0) == 2

    assert scene.status() == "complete"


def test_a_file_that_could_not_be_replaced_is_still_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while a file is replaced leaves the former file, and nothing unfinished beside it."""
    path = tmp_path / "log.txt"
    replace_file(path, b"former")

    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(path, b"later")

    assert path.read_text(encoding="utf-8") == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_sink_left_behind_is_cleared_away(scene: Scene) -> None:
    """A file that was being written when its process was killed is gone after the next start."""
    folder = scene.log_dir / "4200"
    folder.mkdir(parents=True)
    (folder / UNFINISHED).write_text("crewsync user sy", encoding="utf-8")

    scene.follow()

    assert scene.files() == {}


def test_a_sink_that_stopped_between_store_and_write_is_made_good_at_the_next_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored but not written is written by the next sink, without any new record."""
    scene.write(marker(1), result(1))
    sink = scene.open()
    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", no_room(lambda _path: False))
        with pytest.raises(SinkError):
            sink.step(0)
        with pytest.raises(SinkError):
            sink.close()
    assert scene.files() == {}

    assert scene.open().step(0) == 0

    assert scene.status() == "complete"


def test_run_goes_on_after_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails is told of and made up for; it ends nothing."""
    stop, tries = threading.Event(), []

    failing: list[object] = []

    def second_time_lucky(path: Path) -> bool:
        tries.append(path)
        failing.append(REGISTRY.get_sample_value("crewsync_sink_state"))
        if len(tries) > 1:
            stop.set()
        return len(tries) > 1

    monkeypatch.setattr(module, "replace_file", no_room(second_time_lucky))
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)
    scene.write(marker(1), result(1))
    sink = scene.open()

    with capture_logs() as told:
        sink.run(stop)

    assert [entry["event"] for entry in told] == ["sync_log_sink_failed"]
    assert scene.status() == "complete"
    assert failing[1] == 1.0
    assert REGISTRY.get_sample_value("crewsync_sink_state") == 0.0


def test_records_that_retention_took_are_reported(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """If records were deleted while no sink was running, the start says which, and goes on with the rest."""
    scene.write(result(1))
    scene.follow()
    reader = scene.broker.reader(scene.broker.partitions(SYNC_LOG))
    reader.close()
    monkeypatch.setattr(type(reader), "beginning_offsets", lambda _, wanted: dict.fromkeys(wanted, 7))
    scene.write(result(2))

    with capture_logs() as told:
        scene.follow()

    assert [(entry["event"], entry["partition"], entry["wanted"], entry["first"]) for entry in told] == [
        ("sync_log_records_gone", 0, 1, 7)
    ]
    assert "(2 results," in scene.files()[RUN_FILE.replace("20261123T071500Z-manual", "run")]
