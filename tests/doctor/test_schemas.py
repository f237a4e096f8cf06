"""Schemas that are not as they were released."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.doctor.findings import Level
from consumer.doctor.schemas import catalogue_findings
from consumer.model import compatibility, schemas
from consumer.model.schemas import schema_folder


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def unlocked(folder: Path) -> None:
    path = folder / "released.json"
    locked = json.loads(path.read_text("utf-8"))
    del locked["link/v1"]
    path.write_text(json.dumps(locked), "utf-8")


def incompatible(folder: Path) -> None:
    """Another version, which is locked as well: only the rules can see what is wrong with it."""
    text = (folder / "link" / "v1.avsc").read_text("utf-8")
    schema = json.loads(text)
    schema["fields"].append({"name": "note", "type": "string", "doc": "A note."})
    (folder / "link" / "v0.avsc").unlink(missing_ok=True)
    (folder / "link" / "v2.avsc").write_text(text, "utf-8")
    (folder / "link" / "v1.avsc").write_text(json.dumps(schema), "utf-8")
    (folder / "released.json").unlink()


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda folder: edited(folder / "link" / "v1.avsc", "link", "bond"), "link/v1 was changed after"),
        (lambda folder: (folder / "company-settings" / "v2.avsc").unlink(), "company-settings/v2 is missing"),
        (unlocked, "link/v1 was never released"),
        (
            incompatible,
            "crewsync.Link v1 and v2 do not fit: older reader.note: is not written and has no default",
        ),
        (lambda folder: (folder / "link" / "v1.avsc").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "released.json").write_text("{"), "released.json cannot be read"),
        (lambda folder: (folder / "released.json").write_text("[]"), "is no JSON object"),
        (lambda folder: (folder / "link" / "v1.avsc").unlink(), "there is no schema called crewsync.Link"),
    ],
    ids=["edited", "missing", "unlocked", "incompatible", "cut off", "no lock", "another lock", "no schema"],
)
def test_whatever_is_wrong_with_the_schemas_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, harm: Callable[[Path], object], what: str
) -> None:
    folder = tmp_path / "avro"
    shutil.copytree(schema_folder(), folder)
    for module in (schemas, compatibility):
        monkeypatch.setattr(module, "schema_folder", lambda: folder)
    assert [one.level for one in catalogue_findings()] == [Level.OK]
    harm(folder)
    found = list(catalogue_findings())
    assert {one.level for one in found} == {Level.FAIL}
    assert any(what in one.what for one in found), [one.what for one in found]
