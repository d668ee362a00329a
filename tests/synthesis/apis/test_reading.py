"""What is read from API descriptions, and what is left out."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from openk2.synthesis.apis import ArchiveError, Operation, Tally, collect, read_operation
from openk2.synthesis.apis.botocore import read_botocore
from openk2.synthesis.apis.deed import deed_of
from openk2.synthesis.apis.openapi import read_openapi
from openk2.synthesis.apis.verbs import gerund, participle, third_person
from openk2.synthesis.apis.wording import first_sentence, words_of

from .descriptions import BOTOCORE, OPENAPI_2, OPENAPI_3


def by_name(operations: Any) -> dict[str, Operation]:
    return {operation.name: operation for operation in operations}


def test_an_openapi_3_document_gives_its_operations_with_references_resolved() -> None:
    found = by_name(read_openapi(OPENAPI_3, "x.json"))
    assert found.keys() == {"listOpenLoans", "createLoan"}
    loans = found["listOpenLoans"]
    assert (loans.provider, loans.verb, loans.object) == ("library.test", "list", "open loans")
    assert loans.description == "Lists the open loans of the specified member."
    assert [(f.name, f.type, f.required) for f in loans.fields] == [
        ("member_id", "string", True), ("limit", "integer", False), ("sort_key", "string", False),
    ]  # fmt: skip
    assert loans.fields[1].description == "How many to show."
    assert loans.fields[2].enum == ("title", "due_date")
    assert loans.many
    assert [f.kind for f in loans.returns] == ["title", "date"]


def test_a_body_gives_arrays_and_shallow_objects_and_no_secrets() -> None:
    fields = by_name(read_openapi(OPENAPI_3, "x.json"))["createLoan"].fields
    assert [f.name for f in fields] == ["book_id", "copies", "pickup"]
    assert fields[0].required
    assert fields[0].kind == "uuid"
    assert fields[1].items == "integer"
    assert [f.name for f in fields[2].fields] == ["city", "urgent"]


def test_openapi_2_reads_body_and_answer_and_names_the_provider_by_the_file() -> None:
    (plant,) = read_openapi(OPENAPI_2, "folder/gardens.test.json")
    assert (plant.provider, plant.verb, plant.object) == ("gardens.test", "add", "plant")
    assert [f.name for f in plant.fields] == ["name", "height"]
    assert [f.name for f in plant.returns] == ["name", "height"]


def test_botocore_reads_members_choices_and_times_without_client_tokens() -> None:
    (kite,) = read_botocore(BOTOCORE)
    assert (kite.provider, kite.verb, kite.object) == ("amazonaws.com", "describe", "kite")
    assert [(f.name, f.words, f.required) for f in kite.fields] == [
        ("KiteName", "kite name", True), ("Colour", "colour", False),
    ]  # fmt: skip
    assert [f.name for f in kite.returns] == ["KiteName", "Length", "FlownAt"]


def test_an_operation_survives_the_way_through_its_json_line() -> None:
    for operation in [*read_openapi(OPENAPI_3, "x"), *read_botocore(BOTOCORE)]:
        assert read_operation(json.loads(json.dumps(operation.row()))) == operation


def test_folder_tar_and_wheel_give_the_same_and_what_is_broken_is_counted(tmp_path: Path) -> None:
    contents = {
        "a/one.json": json.dumps(OPENAPI_3).encode(),
        "b/again.json": json.dumps(OPENAPI_3).encode(),
        "c/service-2.json.gz": gzip.compress(json.dumps(BOTOCORE).encode()),
        "d/broken.json": b"{",
        "e/odd.json": json.dumps({"openapi": "3", "info": 3, "paths": {"/": {"get": 1}}}).encode(),
        "f/other.json": b"[1]",
        "readme.md": b"hello",
    }
    folder, tar, wheel = tmp_path / "folder", tmp_path / "apis.tgz", tmp_path / "apis.whl"
    with tarfile.open(tar, "w:gz") as packed, zipfile.ZipFile(wheel, "w") as zipped:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
            zipped.writestr(name, content)
    found = []
    for path in (folder, tar, wheel):
        tally = Tally()
        found.append(list(collect([path], tally)))
        assert (tally.documents, tally.broken, tally.kept, tally.repeated) == (4, 1, 3, 2)
    assert found[0] == found[1] == found[2]


def test_a_damaged_archive_is_refused_by_name(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as packed:
        entry = tarfile.TarInfo("one.json")
        entry.size = len(json.dumps(OPENAPI_3))
        packed.addfile(entry, io.BytesIO(json.dumps(OPENAPI_3).encode()))
    (tmp_path / "cut.tgz").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(ArchiveError, match=r"cut\.tgz"):
        list(collect([tmp_path / "cut.tgz"], Tally()))


def test_a_source_that_is_neither_folder_nor_archive_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no archive")
    for name in ("text.txt", "missing"):
        with pytest.raises(ArchiveError, match=name):
            list(collect([tmp_path / name], Tally()))


@pytest.mark.parametrize(
    ("sentence", "name", "deed"),
    [
        ("Returns a list of invoices that match.", "", ("return", "invoices")),
        ("This endpoint allows you to delete the specified user by id.", "", ("delete", "user")),
        ("Used to retrieve all GitHub apps.", "", ("retrieve", "GitHub apps")),
        ("Get TransportGitter resources.", "", ("get", "transport gitter resources")),
        ("Adds members to a board.", "", ("add", "members")),
        ("Gets the status of a job.", "", ("get", "status of a job")),
        ("Something else.", "listBlueDoors", ("list", "blue doors")),
        ("Something else.", "blue_doors_list", ("list", "blue doors")),
        ("Something else.", "GET_DeleteDoor", ("delete", "door")),
        ("Something else.", "doStuff", None),
        ("Updates it.", "x", None),
    ],
)
def test_the_deed_is_a_verb_and_its_object(
    sentence: str, name: str, deed: tuple[str, str] | None
) -> None:
    assert deed_of(sentence, name) == deed


def test_sentences_lose_markup_and_are_dropped_where_they_cannot_be_plain() -> None:
    said = "<p>Lists <code>doors</code> of the [house](http://x). See more.</p>"
    assert first_sentence(said, 90) == "Lists doors of the house."
    assert first_sentence("Required. The door's id", 90) == "The door's id."
    assert first_sentence("See https://example.com for x", 90) == ""
    assert first_sentence("x" * 100, 90) == ""
    assert first_sentence(None, 90) == ""


def test_words_and_verb_forms() -> None:
    assert words_of("customerID") == ["customer", "id"]
    assert words_of("HTTPServer_port-2") == ["http", "server", "port", "2"]
    assert [third_person(v) for v in ("list", "copy", "push")] == ["lists", "copies", "pushes"]
    assert [participle(v) for v in ("delete", "send", "copy")] == ["deleted", "sent", "copied"]
    assert [gerund(v) for v in ("create", "get", "stop")] == ["creating", "getting", "stopping"]
