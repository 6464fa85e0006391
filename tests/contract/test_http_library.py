"""The HTTP contract of docs/architecture.md: collections, and bringing images into them."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.workspace import Workspace
from tests.contract.in_process import FAKE, refused, serve
from tests.contract.served import open_workspace, picture
from tests.stored import wait_until


def test_collections_are_listed_with_their_counts(client: TestClient) -> None:
    answer = client.get("/api/collections").json()
    assert [(entry["name"], entry["model"], entry["count"]) for entry in answer["collections"]] == [
        ("colours", "fake", 4)
    ]
    assert answer["default"] == "colours"
    assert answer["models"] == [{"name": "fake", "title": "Fake", "note": "Knows colours."}]
    assert answer["may_change"] is True


def test_a_collection_is_made_shown_and_deleted(client: TestClient) -> None:
    made = client.post("/api/collections", json={"name": "holidays", "model": "fake"})
    assert (made.status_code, made.json()) == (201, {"name": "holidays", **FAKE})
    shown = client.get("/api/collections/holidays").json()
    assert (shown["count"], shown["fields"], shown["failures"]) == (0, {}, [])
    assert client.delete("/api/collections/holidays").json() == {"deleted": "holidays"}
    assert refused(client.get("/api/collections/holidays"))[:2] == (404, "collection_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "colours", "model": "fake"}, 409, "collection_exists"),
        ({"name": "../up", "model": "fake"}, 422, "collection_error"),
        ({"name": "x"}, 422, "bad_query"),
        ({"name": None, "model": "fake"}, 422, "bad_query"),
        ({"name": ["x"], "model": "fake"}, 422, "bad_query"),
        ({"name": "x", "model": "fake", "dim": 3}, 422, "bad_query"),
    ],
)
def test_an_unusable_collection_is_refused(client: TestClient, body: object, status: int, code: str) -> None:
    assert refused(client.post("/api/collections", json=body))[:2] == (status, code)


@pytest.mark.parametrize("name", ["", "  ", "a/b", "-a"])
@pytest.mark.parametrize("path", ["/api/collections", "/api/makings"])
def test_a_name_that_is_none_is_answered_by_what_a_name_must_be(client: TestClient, path: str, name: str) -> None:
    """Whatever else is wrong: no model is looked for first."""
    answer = client.post(path, json={"name": name, "model": "no/such"})
    assert refused(answer)[:2] == (422, "collection_error")
    assert answer.json()["error"]["message"] == (
        f"{name!r} can't be a collection's name: use 1 to 64 letters, digits, spaces, and _ . - inside; "
        "begin with a letter or digit, end with no space or dot."
    )


@pytest.fixture
def holidays(workspace: Workspace) -> Iterator[str]:
    workspace.create("holidays", model="fake")
    yield "holidays"
    workspace.delete("holidays")


def finished(workspace: Workspace, answer: Any) -> dict[str, Any]:
    """The answer to the upload, and under "job" the job when it is finished."""
    assert answer.status_code == 202, answer.text
    assert workspace.jobs is not None
    jobs, id = workspace.jobs, answer.json()["job"]
    wait_until(lambda: jobs.get(id).is_finished)
    return {**answer.json(), "job": jobs.get(id)}


def test_uploaded_images_are_kept_indexed_and_found(client: TestClient, workspace: Workspace, holidays: str) -> None:
    files = [
        ("file", ("beach/sea.png", picture("blue"), "image/png")),
        ("file", ("torn.jpg", b"no image", "image/jpeg")),
        ("file", ("huge.png", bytes(2**20 + 1), "image/png")),
    ]
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    (refused_file,) = done["refused"]
    assert (refused_file["name"], refused_file["code"]) == ("huge.png", "image_too_large")
    job = client.get(f"/api/jobs/{done['job'].id}").json()
    assert (job["state"], job["is_finished"], job["collection"], job["error"]) == ("done", True, holidays, None)
    assert [job["progress"][field] for field in ("total", "done", "indexed", "failed")] == [2, 2, 1, 1]
    (hit,) = client.post("/api/search", json={"query": "blue", "collection": holidays}).json()["hits"]
    assert (hit["metadata"]["folder"], hit["metadata"]["name"]) == ("beach", "sea.png")
    (failure,) = client.get(f"/api/collections/{holidays}").json()["failures"]
    assert failure["code"] == "unsupported_format"
    with zipfile.ZipFile(
        io.BytesIO(client.post("/api/export.zip", json={"ids": [hit["id"]], "collection": holidays}).content)
    ) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"sea.png": picture("blue")}


def test_an_uploaded_archive_is_unpacked_and_indexed(client: TestClient, workspace: Workspace, holidays: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("trip/red.png", picture("red"))
        archive.writestr("../../evil.png", picture("green"))
    files = {"file": ("holidays.zip", packed.getvalue(), "application/zip")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    assert done["job"].state == "done"
    assert done["refused"] == []
    hits = client.post("/api/search", json={"query": "red", "collection": holidays}).json()["hits"]
    assert hits[0]["metadata"]["name"] == "red.png"
    assert all(hit["uri"].startswith("uploads/") for hit in hits)


def test_an_uploaded_archive_keeps_its_name_in_what_is_said_of_it(
    client: TestClient, workspace: Workspace, holidays: str
) -> None:
    files = {"file": ("trip/holidays.zip", b"PK\x03\x04 torn", "application/zip")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    said = client.get(f"/api/jobs/{done['job'].id}").json()["error"]
    assert said == {
        "code": "source_error",
        "message": "holidays.zip is not a zip archive that can be read: pack it again.",
    }


def test_an_upload_that_only_begins_like_an_archive_is_taken_as_an_image(
    client: TestClient, workspace: Workspace, holidays: str
) -> None:
    files = {"file": ("../notes.png", b"PK, he said", "image/png")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    assert done["job"].state == "done"
    (failure,) = client.get(f"/api/jobs/{done['job'].id}").json()["failures"]
    assert (failure["uri"].split("/")[0], failure["code"]) == ("uploads", "unsupported_format")
    assert failure["message"].startswith("notes.png ")


def test_the_folder_of_an_upload_leads_nowhere(client: TestClient, workspace: Workspace, holidays: str) -> None:
    files = {"file": ("../../../tmp/fresh/sea.png", picture("blue"), "image/png")}
    finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    (hit,) = client.post("/api/search", json={"query": "blue", "collection": holidays}).json()["hits"]
    assert (hit["metadata"]["folder"], hit["metadata"]["name"]) == ("tmp/fresh", "sea.png")


def test_a_job_is_taken_and_shown_before_the_background_work_begins(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        taken = client.post("/api/jobs", json={"paths": [str(tmp_path / "pictures")], "collection": "colours"})
        assert taken.status_code == 202, taken.text
        assert client.get(f"/api/jobs/{taken.json()['job']}").json()["state"] == "waiting"
    workspace.close()


def test_a_cancelled_job_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        job = client.post("/api/jobs", json={"paths": [str(tmp_path / "pictures")], "collection": "colours"}).json()
        assert client.delete(f"/api/jobs/{job['job']}").json()["state"] == "cancelled"
        resumed = client.post(f"/api/jobs/{job['job']}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (202, "waiting")
        assert refused(client.post("/api/jobs/nobody/resume"))[:2] == (404, "job_not_found")
    workspace.close()


def test_a_job_says_whether_a_newer_one_indexes_the_same(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        for name in ("one", "two", "one"):
            (tmp_path / name).mkdir(exist_ok=True)
            client.post("/api/jobs", json={"paths": [str(tmp_path / name)], "collection": "colours"})
        jobs = client.get("/api/jobs").json()["jobs"]
    assert [job["is_superseded"] for job in jobs] == [False, False, True]
    workspace.close()


def test_uploaded_originals_go_with_their_collection(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    assert workspace.jobs is not None
    workspace.jobs.start()
    kept = {path.name for path in (tmp_path / "uploads").glob("??/*")}
    workspace.create("trip", model="fake")
    with serve(workspace) as client:
        files = {"file": ("sea.png", picture("blue", (9, 9)), "image/png")}
        finished(workspace, client.post("/api/images?collection=trip", files=files))
        assert len(list((tmp_path / "uploads").glob("??/*"))) == len(kept) + 1
        assert client.delete("/api/collections/trip").status_code == 200
    wait_until(lambda: not (tmp_path / "uploads" / ".untidy").exists())
    assert {path.name for path in (tmp_path / "uploads").glob("??/*")} == kept
    workspace.close()


def test_a_folder_is_indexed_in_place(client: TestClient, workspace: Workspace, holidays: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "sun.png").write_bytes(picture("yellow"))
    answer = client.post("/api/jobs", json={"paths": [str(folder)], "collection": holidays})
    job = finished(workspace, answer)["job"]
    assert job.state == "done"
    (hit,) = client.post("/api/search", json={"query": "yellow", "collection": holidays}).json()["hits"]
    assert hit["uri"] == "pictures/sun.png"
    assert str(tmp_path) not in client.get("/api/jobs").text
    assert client.get(f"/image/{hit['id']}?collection={holidays}").status_code == 200
    (folder / "sun.png").unlink()
    gone = refused(client.get(f"/image/{hit['id']}?collection={holidays}"))
    assert gone[:2] == (404, "item_not_found")
    assert str(tmp_path) not in gone[2]
    assert client.delete(f"/api/jobs/{job.id}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"paths": ["/nowhere/at all"], "collection": "colours"}, 422, "source_error"),
        ({"paths": ["relative"], "collection": "colours"}, 422, "bad_query"),
        ({"paths": ["s3://No Bucket/a"], "collection": "colours"}, 422, "source_error"),
        ({"paths": ["/a\0b"], "collection": "colours"}, 422, "bad_query"),
        ({"paths": [], "collection": "colours"}, 422, "bad_query"),
        ({"paths": "/etc", "collection": "colours"}, 422, "bad_query"),
        ({"paths": ["/etc"]}, 422, "bad_query"),
        ({"paths": ["/etc"], "collection": "nowhere"}, 404, "collection_not_found"),
        ({"paths": ["/etc"], "collection": "colours", "prune": "yes"}, 422, "bad_query"),
        ({"paths": ["/etc"], "collection": "colours", "follow": True}, 422, "bad_query"),
    ],
)
def test_an_unusable_job_is_refused(client: TestClient, body: object, status: int, code: str) -> None:
    assert refused(client.post("/api/jobs", json=body))[:2] == (status, code)


def test_an_unusable_upload_is_refused(client: TestClient) -> None:
    files = {"file": ("a.png", picture("red"), "image/png")}
    huge = {"file": ("huge.png", bytes(2**20 + 1), "image/png")}
    endless = {"file": ("endless.png", bytes(5 * 2**20), "image/png")}
    addresses = ["/api/images?collection=nowhere", "/api/images", "/api/images?collection=colours"]
    assert refused(client.post(addresses[0], files=files))[:2] == (404, "collection_not_found")
    assert refused(client.post(addresses[1], files=files))[:2] == (422, "bad_query")
    assert refused(client.post(addresses[2], files=huge))[:2] == (422, "image_too_large")
    assert refused(client.post(addresses[2], files=endless))[:2] == (413, "body_too_large")
    assert refused(client.post(addresses[2], json={}))[:2] == (415, "unsupported_type")
    no_boundary = {"content-type": "multipart/form-data"}
    assert refused(client.post(addresses[2], content=b"x", headers=no_boundary))[:2] == (400, "bad_request")
    assert refused(client.post(addresses[2], data={"file": "text"}, files={}))[:2] == (415, "unsupported_type")


def test_a_forged_job_is_none(client: TestClient) -> None:
    assert refused(client.get("/api/jobs/nobody"))[:2] == (404, "job_not_found")
    assert refused(client.delete("/api/jobs/..%2f..%2fx"))[:2] == (404, "not_found")
