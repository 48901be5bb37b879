"""The imitated providers answer, refuse and misbehave as the real ones do, and always with the same bytes."""

import base64
import hashlib
import io
import itertools
import json
import re
import threading
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from listener.demo import bodies, evrotrust, faults, listing, onespan, packages, pdf, play, sealing
from listener.demo.evrotrust import Evrotrust
from listener.demo.imitation import Call, Imitation
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.demo.transactions import Transaction
from listener.demo.wire import Answer, Asked

ID = "LWsUTvGgE4WpOvaQPT16idnxNj8="
DASHED = "-WsUTvGgE4WpOvaQPT16idnxNj8="
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
# One client for all, because each loads the trusted certificates anew; no connection outlives its answer.
CLIENT = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
KEY = {"Authorization": "Basic demonstration"}


class Echo(Imitation):
    """The smallest imitation: one call, which counts how often it was really done."""

    def __init__(self) -> None:
        self.done = 0
        super().__init__()

    def calls(self) -> Sequence[Call]:
        return [Call("echo", "POST", "/echo", self._echo)]

    def _echo(self, asked: Asked) -> Answer:
        self.done += 1
        return Answer(200, asked.body, "application/octet-stream")

    def unknown(self, asked: Asked) -> Answer:
        """Answer like a door that takes everything."""
        return Answer(200)


def get(server: OneSpan, path: str, **headers: str) -> httpx.Response:
    """Ask OneSpan with its key, or with other headers."""
    return CLIENT.get(f"{server.url}/api{path}", headers=headers or KEY)


def ask(server: Evrotrust, path: str, **fields: str) -> httpx.Response:
    """Ask Evrotrust with a proper header."""
    body = json.dumps({"vendorNumber": server.vendor_number, **fields}).encode()
    return send(server, path, body, evrotrust.authorization(server.api_key, body))


def send(server: Evrotrust, path: str, body: bytes, authorization: str) -> httpx.Response:
    """Ask Evrotrust with the header given."""
    return CLIENT.post(f"{server.url}/document/{path}", content=body, headers={"Authorization": authorization})


def echo(server: Echo, body: bytes = b"0123456789", timeout: float = 5) -> httpx.Response:
    """Ask the smallest imitation."""
    return CLIENT.post(f"{server.url}/echo", content=body, timeout=timeout)


def unzip(content: bytes) -> dict[str, bytes]:
    """Return a zip's entries, checked."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def test_pdf_has_a_header_and_an_offset_for_every_object() -> None:
    """Every xref entry points at its object, and startxref at the table."""
    made = pdf.document("Lease (draft) \\ 1", ["first line", "żółw"])
    assert made.startswith(b"%PDF-1.4\n")
    assert made.endswith(b"%%EOF\n")
    start = int(made.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    table = made[start:].split(b"trailer")[0]
    assert table.startswith(b"xref\n0 8\n")
    entries = re.findall(rb"(\d{10}) (\d{5}) ([fn]) \n", table)
    assert entries[0] == (b"0000000000", b"65535", b"f")
    for number, (offset, _, _) in enumerate(entries[1:], start=1):
        assert made[int(offset) :].startswith(b"%d 0 obj\n" % number)


def test_pdf_stream_is_as_long_as_it_says_and_text_is_escaped() -> None:
    """The content stream has its declared length, brackets and backslashes are escaped, and it says what it is."""
    made = pdf.document("Lease (draft) \\ 1", ["one"])
    found = re.search(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", made, re.DOTALL)
    assert found is not None
    assert int(found[1]) == len(found[2])
    assert rb"(Lease \(draft\) \\ 1)" in found[2]
    assert pdf.NOTICE.encode() in found[2]


def test_pdf_is_the_same_for_the_same_input_only() -> None:
    """The bytes depend on title and lines, and on nothing else."""
    assert pdf.document("a", ["b"]) == pdf.document("a", ["b"])
    assert pdf.document("a", ["b"]) != pdf.document("a", ["c"])


def test_onespan_takes_the_raw_key_and_nothing_else() -> None:
    """Only "Basic" and the raw key gets in; all else is 401 in OneSpan's error shape, for unknown addresses too."""
    with OneSpan() as server:
        server.add(Package(ID))
        assert get(server, f"/packages/{ID}").status_code == 200
        for shown in ("Basic other", "Basic ZGVtb25zdHJhdGlvbg==", "demonstration", "Bearer demonstration", ""):
            refused = get(server, f"/packages/{ID}", Authorization=shown)
            assert (refused.status_code, refused.json()["code"]) == (401, 401)
            assert set(refused.json()) == {"code", "messageKey", "message", "name"}
        assert get(server, "/nothing", Authorization="Basic other").status_code == 401


def test_onespan_token_is_given_for_the_right_secret_only() -> None:
    """A client application's token opens the API until it ends; a wrong secret gets none."""
    with OneSpan(client_id="app", client_secret="hush") as server:
        address = f"{server.url}/apitoken/clientApp/accessToken"
        asked = {"clientId": "app", "secret": "hush", "type": "OWNER"}
        token = CLIENT.post(address, json=asked).json()
        assert token["expiresAt"] > time.time() * 1000
        shown = f"Bearer {token['accessToken']}"
        assert get(server, "/packages", Authorization=shown).status_code == 200
        server.tokens[token["accessToken"]] = time.time() - 1
        assert get(server, "/packages", Authorization=shown).status_code == 401
        for wrong in (b'{"clientId":"app","secret":"other"}', b"{}", b"[]", b"nonsense"):
            assert CLIENT.post(address, content=wrong).status_code == 401
        for whose in ({"type": "SENDER"}, {"type": "OWNER", "email": "a@b.test"}, {"type": None}):
            assert CLIENT.post(address, json={**asked, **whose}).status_code == 400


def test_onespan_oauth2_shuts_out_all_else() -> None:
    """With that setting of the account its tokens open the API, and neither the key nor a client application does."""
    client = {"client_id": "app", "client_secret": "hush"}
    form = {"grant_type": "client_credentials"}
    with OneSpan(oauth2=True, **client) as server:  # type: ignore[arg-type]
        address = f"{server.url}/oauth2/token"
        token = CLIENT.post(address, data=form, auth=("app", "hush")).json()
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 299)
        assert get(server, "/packages", Authorization=f"Bearer {token['access_token']}").status_code == 200
        assert CLIENT.post(address, data=form, auth=("app", "other")).status_code == 401
        assert CLIENT.post(address, data={"grant_type": "password"}, auth=("app", "hush")).status_code == 400
        assert get(server, "/packages").status_code == 401
        asked = {"clientId": "app", "secret": "hush", "type": "OWNER"}
        assert CLIENT.post(f"{server.url}/apitoken/clientApp/accessToken", json=asked).status_code == 401
    with OneSpan(**client) as server:  # type: ignore[arg-type]
        assert CLIENT.post(f"{server.url}/oauth2/token", data=form, auth=("app", "hush")).status_code == 401


def test_onespan_finds_ids_raw_and_percent_encoded() -> None:
    """An id with = and a leading - is found in both spellings, differs by case, and is remembered as it was sent."""
    with OneSpan() as server:
        server.add(Package(DASHED))
        assert get(server, f"/packages/{DASHED}").json()["id"] == DASHED
        assert get(server, f"/packages/{quote(DASHED, safe='')}").json()["id"] == DASHED
        assert get(server, f"/packages/{DASHED.lower()}").status_code == 404
        paths = [asked.path for asked in server.requests]
        assert paths[:2] == [f"/api/packages/{DASHED}", f"/api/packages/{quote(DASHED, safe='')}"]


def test_onespan_does_not_know_missing_and_deleted_packages() -> None:
    """Both are 404 in OneSpan's error shape, for the files as for the package."""
    with OneSpan() as server:
        server.add(Package(ID)).delete(NOON)
        for path in (f"/packages/{ID}", f"/packages/{ID}/documents/zip", "/packages/other", "/packages/a/b/c"):
            missing = get(server, path)
            assert missing.status_code == 404
            assert missing.json()["messageKey"].startswith("error.notFound")


def test_onespan_package_shows_its_state() -> None:
    """Status, dates, trash, consent, roles and the reason for declining stand where the real API has them."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.move("SENT", NOON)
        package.trash(NOON)
        package.refuse(package.signers[0], "Too long", NOON)
        answer = get(server, f"/packages/{ID}")
        shown = answer.json()
    assert answer.headers["content-type"] == "application/json; esl-api-version=11"
    assert (shown["status"], shown["trashed"], shown["completed"]) == ("DECLINED", True, None)
    assert shown["updated"] == "2026-11-20T12:00:00.000Z"
    assert shown["messages"][0]["content"] == "Too long"
    assert [document["id"] for document in shown["documents"]] == ["default-consent", package.documents[0].id]
    assert [role["signers"][0]["id"] for role in shown["roles"]] == [signer.id for signer in package.signers]


def test_onespan_package_holds_what_nobody_may_store() -> None:
    """Every private value is in the package's JSON, so that its absence from a listener's log means something."""
    with OneSpan() as server:
        server.add(Package(ID))
        shown = get(server, f"/packages/{ID}").text
    assert [value for value in bodies.PRIVATE if value not in shown] == []


@pytest.mark.parametrize(
    ("status", "shown"),
    [("DRAFT", "INACTIVE"), ("SENT", "SIGNING_PENDING"), ("COMPLETED", "COMPLETED"), ("ARCHIVED", "ARCHIVED")],
)
def test_onespan_signing_status(status: str, shown: str) -> None:
    """The signing status has words of its own for drafts and for packages that are out."""
    with OneSpan() as server:
        server.add(Package(ID, status=status))
        assert get(server, f"/packages/{ID}/signingStatus").json() == {"status": shown}


def test_onespan_signing_status_of_one_signer() -> None:
    """One signer may be done while the package is not; all done without completion is SIGNING_COMPLETE."""
    with OneSpan() as server:
        package = server.add(Package(ID, status="SENT"))
        first, second = package.signers
        package.sign(package.documents[0], first, NOON)
        path = f"/packages/{ID}/signingStatus"
        assert get(server, f"{path}?signer={first.id}").json()["status"] == "SIGNING_COMPLETE"
        assert get(server, f"{path}?signer={second.id}").json()["status"] == "SIGNING_PENDING"
        assert get(server, path).json()["status"] == "SIGNING_PENDING"
        package.sign(package.documents[0], second, NOON)
        assert get(server, path).json()["status"] == "SIGNING_COMPLETE"


def test_onespan_files_of_a_completed_package() -> None:
    """Zip, document and evidence summary come under their content types, and the zip holds the very document."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.finish(NOON)
        zipped = get(server, f"/packages/{ID}/documents/zip")
        single = get(server, f"/packages/{ID}/documents/{package.documents[0].id}/pdf")
        evidence = get(server, f"/packages/{ID}/evidence/summary")
    assert zipped.headers["content-type"] == "application/zip"
    assert single.headers["content-type"].startswith("application/octet-stream")
    assert single.headers["content-disposition"] == "attachment; filename*=UTF-8''Lease%20agreement.pdf"
    assert evidence.headers["content-type"].startswith("application/pdf")
    assert unzip(zipped.content) == {"Lease agreement.pdf": single.content}
    assert b"Signed by Ana Petrova at 2026-11-20T12:00:00.000Z" in single.content
    assert b"Status COMPLETED" in evidence.content


def test_onespan_hands_out_unsigned_documents_before_completion() -> None:
    """Before completion the answer is 200 too, with a document that lacks the pending signatures."""
    with OneSpan() as server:
        package = server.add(Package(ID, status="SENT"))
        first, second = package.signers
        path = f"/packages/{ID}/documents/{package.documents[0].id}/pdf"
        unsigned = get(server, path)
        package.sign(package.documents[0], first, NOON)
        half = get(server, path)
        package.sign(package.documents[0], second, NOON)
        package.move("COMPLETED", NOON)
        whole = get(server, path)
    assert [answer.status_code for answer in (unsigned, half, whole)] == [200, 200, 200]
    assert [answer.content.count(b"Signed by") for answer in (unsigned, half, whole)] == [0, 1, 2]


def test_onespan_files_are_the_same_every_time() -> None:
    """The same state gives the same bytes, from another server and after archiving too; another document has others."""
    hashes = set()
    for _ in range(2):
        with OneSpan() as server:
            package = server.add(Package(ID))
            package.finish(NOON)
            hashes.add(hashlib.sha256(get(server, f"/packages/{ID}/documents/zip").content).hexdigest())
            package.move("ARCHIVED", datetime.now(UTC))
            hashes.add(hashlib.sha256(get(server, f"/packages/{ID}/documents/zip").content).hexdigest())
    assert len(hashes) == 1


def test_onespan_names_in_a_zip_are_safe_and_distinct() -> None:
    """Reserved characters become _, and two documents of one name both survive."""
    documents = [packages.Document("a", "../x:y"), packages.Document("b", "../x:y")]
    with OneSpan() as server:
        server.add(Package(ID, documents=documents))
        assert list(unzip(get(server, f"/packages/{ID}/documents/zip").content)) == [".._x_y.pdf", "1-.._x_y.pdf"]


def test_onespan_has_no_file_for_the_consent() -> None:
    """default-consent is a documentId in callbacks and in the package, but nothing to download."""
    with OneSpan() as server:
        server.add(Package(ID))
        assert get(server, f"/packages/{ID}/documents/{packages.CONSENT}/pdf").status_code == 404


def test_onespan_attachments_are_406_without_any() -> None:
    """Without attachments 406, with one a zip: of all, or of whoever uploaded it."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        ana, boris = package.signers
        assert get(server, f"/packages/{ID}/attachment/zip").status_code == 406
        package.attach(ana, "passport scan.pdf", b"%PDF-", NOON)
        for whose in ("", f"/{ana.role}"):
            found = get(server, f"/packages/{ID}/attachment/zip{whose}").content
            assert unzip(found) == {"passport scan.pdf": b"%PDF-"}
        assert get(server, f"/packages/{ID}/attachment/zip/{boris.role}").status_code == 406
        assert get(server, f"/packages/{ID}/attachment/zip/nobody").status_code == 404
        roles = get(server, f"/packages/{ID}").json()["roles"]
        assert [[known["status"] for known in role["attachmentRequirements"]] for role in roles] == [["COMPLETE"], []]


def test_onespan_audit_and_field_summary() -> None:
    """The audit lists consents and signatures in order of time, the field summary one field per signer and document."""
    with OneSpan() as server:
        server.add(Package(ID)).finish(NOON)
        audit = get(server, f"/packages/{ID}/audit").json()
        summary = get(server, f"/packages/{ID}/fieldSummary").json()
    assert audit["package-id"] == ID
    kinds = [event["type"] for event in audit["audit-events"]]
    assert sorted(kinds) == ["Accept", "Accept", "Click To Sign", "Click To Sign"]
    assert [field["fieldValue"] for field in summary] == ["2026-11-20T12:00:00.000Z"] * 2


def test_onespan_list_counts_all_and_gives_a_page() -> None:
    """count is of everything that matches, results of the page; 0 and 1 start alike, no page is over 100."""
    with OneSpan() as server:
        for number in range(120):
            server.add(Package(f"p{number:03}"))
        first = get(server, "/packages?from=1&to=100&sort=created&dir=asc&fields=id").json()
        zero = get(server, "/packages?from=0&to=100&sort=created&dir=asc&fields=id").json()
        last = get(server, "/packages?from=101&to=300&sort=created&dir=asc&fields=id").json()
        huge = get(server, "/packages?from=1&to=9999&fields=id").json()
    assert (first["count"], len(first["results"]), len(last["results"])) == (120, 100, 20)
    assert first == zero
    assert len(huge["results"]) == listing.AT_MOST
    assert sorted(kept["id"] for kept in first["results"] + last["results"]) == [f"p{n:03}" for n in range(120)]


@pytest.mark.parametrize(
    ("habits", "query", "shown"),
    [
        (listing.Habits(), "from=0&to=1", ["p0"]),
        (listing.Habits(), "from=1&to=1", ["p0"]),
        (listing.Habits(), "from=2&to=3", ["p1", "p2"]),
        (listing.Habits(strict=True), "from=0&to=1", 400),
        (listing.Habits(strict=True), "from=1&to=1", ["p0"]),
        (listing.Habits(first=0), "from=0&to=1", ["p0", "p1"]),
        (listing.Habits(first=0), "from=2&to=3", ["p2", "p3"]),
        (listing.Habits(most=2), "from=1&to=9", ["p0", "p1"]),
        (listing.Habits(most=2), "from=3&to=9", []),
        (listing.Habits(), "from=4&to=9&lastUpdatedStartDate=2099-01-01Z", []),
        (listing.Habits(dates=False), "from=4&to=9&lastUpdatedStartDate=2099-01-01Z", ["p3"]),
    ],
)
def test_onespan_lists_as_its_sources_say_each(habits: listing.Habits, query: str, shown: list[str] | int) -> None:
    """Where records begin to count, whether dates are heeded, where a search ends; the count is always of all."""
    with OneSpan() as server:
        server.habits = habits
        for number in range(4):
            server.add(Package(f"p{number}"))
        found = get(server, f"/packages?sort=name&dir=asc&{query}")
    if shown == 400:
        assert found.status_code == 400
    else:
        assert [kept["id"] for kept in found.json()["results"]] == shown
        assert found.json()["count"] in (0, 4)


def test_onespan_list_filters_by_status_folder_and_date() -> None:
    """Trash is its own folder, dates go by updated under both spellings, statuses under both, and nonsense is 400."""
    with OneSpan() as server:
        server.add(Package("sent", status="SENT"))
        server.add(Package("done")).finish(NOON)
        server.add(Package("gone", status="SENT", trashed=True))
        server.add(Package("deleted", status="SENT", deleted=True))

        def ids(query: str) -> set[str]:
            return {kept["id"] for kept in get(server, f"/packages{query}").json()["results"]}

        assert ids("") == {"sent", "done"}
        assert ids("?query=trashed") == {"gone"}
        assert ids("?query=COMPLETED") == ids("?predefined=completed") == {"done"}
        assert ids("?lastUpdatedStartDate=2026-11-20Z") == ids("?startDate=2026-11-20T12:00:00Z") == {"done"}
        assert ids("?lastUpdatedEndDate=2026-11-20T12:30:00%2B01:30") == {"sent"}
        assert get(server, "/packages?from=x").status_code == 400
        assert get(server, "/packages?sort=colour").status_code == 400


def test_onespan_callback_registration_replaces_the_whole_set() -> None:
    """What was posted last is what is read, and nothing of before."""
    with OneSpan() as server:
        for events in (["PACKAGE_COMPLETE", "PACKAGE_DECLINE"], ["PACKAGE_COMPLETE"]):
            wanted = {"url": "https://listener.example.test/callbacks/onespan", "key": "k", "events": events}
            CLIENT.post(f"{server.url}/api/callback", json=wanted, headers=KEY).raise_for_status()
            assert get(server, "/callback").json() == wanted
        refused = CLIENT.post(f"{server.url}/api/callback", content=b"[]", headers=KEY)
        assert refused.status_code == 400


@pytest.mark.parametrize(
    ("made", "captured"),
    [
        (
            onespan.callback(
                "PACKAGE_COMPLETE",
                "LWsUTvGgE4WpOvaQPT16idnxNj8=",
                session_user="30ba8506-9819-46aa-a22d-c0114ba34cd0",
                created=datetime(2020, 8, 21, 14, 12, 34, 544000, tzinfo=UTC),
            ),
            b'{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_COMPLETE","sessionUser":'
            b'"30ba8506-9819-46aa-a22d-c0114ba34cd0","packageId":"LWsUTvGgE4WpOvaQPT16idnxNj8=","message":null,'
            b'"documentId":null,"createdDate":"2020-08-21T14:12:34.544Z"}',
        ),
        (
            onespan.callback(
                "EMAIL_BOUNCE",
                "Nj8QcYo68fTSA6d5_o0pdpuaEfw=",
                session_user="3f4280bf-1d9c-4d3b-9c05-5eebdc21afc9",
                message="OOTO",
                created=datetime(2020, 12, 29, 15, 59, 59, 306000, tzinfo=UTC),
            ),
            b'{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"EMAIL_BOUNCE","sessionUser":'
            b'"3f4280bf-1d9c-4d3b-9c05-5eebdc21afc9","packageId":"Nj8QcYo68fTSA6d5_o0pdpuaEfw=","message":"OOTO",'
            b'"documentId":null,"createdDate":"2020-12-29T15:59:59.306Z"}',
        ),
        (
            onespan.callback(
                "PACKAGE_CREATE",
                "70fcca8f-dfb3-4f69-aa3d-e6021c709cc6",
                session_user="cxucq1b8ZzsC",
                created=None,
            ),
            b'{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_CREATE","sessionUser":'
            b'"cxucq1b8ZzsC","packageId":"70fcca8f-dfb3-4f69-aa3d-e6021c709cc6","message":null,"documentId":null}',
        ),
    ],
)
def test_onespan_callback_is_byte_for_byte_the_captured_one(made: bytes, captured: bytes) -> None:
    """For the values of a published capture the body is that capture."""
    assert made == captured


def test_onespan_callback_carries_extra_fields() -> None:
    """A field of one event only stands beside the common ones."""
    made = json.loads(onespan.callback("ROLE_REASSIGN", ID, session_user="s", created=NOON, newRoleId="Signer3"))
    assert (made["newRoleId"], made["createdDate"]) == ("Signer3", "2026-11-20T12:00:00.000Z")


def test_evrotrust_accepts_the_published_vector() -> None:
    """The key, body and header of the vendor's own example get past the door; one byte off does not."""
    body = b'{"vendorNumber":"ahZsmRHbDHL6TeED","user":{"identificationNumber":"8611048980"}}'
    shown = "5a90fc151ff466434e615f1a6aac28228e8607d900b8f9129e8bfa919cff5140"
    with Evrotrust("7f4b9ef3-298d-4ced-8656-a5d8b7f96666") as server:
        accepted = send(server, "status", body, shown)
        assert (accepted.status_code, accepted.text) == (400, "Invalid data supplied")  # no transactionID in it
        for other in (body + b" ", body.replace(b":", b": ")):
            assert send(server, "status", other, shown).status_code == 401
        assert send(server, "status", body, shown.upper()).status_code == 401
        assert send(server, "status", body, "").text == "Unauthorized"


def test_evrotrust_refuses_other_vendors_and_bodies_that_it_cannot_read() -> None:
    """A proper header does not help a wrong vendor number (401) or a body that is no JSON object (400)."""
    with Evrotrust() as server:
        other = b'{"vendorNumber":"other","transactionID":"1"}'
        assert send(server, "status", other, evrotrust.authorization(server.api_key, other)).status_code == 401
        for body in (b"", b"[]", b"nonsense", b"\xff"):
            assert send(server, "status", body, evrotrust.authorization(server.api_key, body)).status_code == 400


def test_evrotrust_status_has_the_shape_of_the_description() -> None:
    """status and isProcessing always, rejectReason only when there is one, and isProcessing as a number on demand."""
    with Evrotrust() as server:
        kept = server.add(Transaction("030011223344"))
        assert ask(server, "status", transactionID=kept.id).json() == {"status": 1, "isProcessing": False}
        kept.status, kept.reject_reason = 3, "No"
        shown = ask(server, "status", transactionID=kept.id).json()
        assert shown == {"status": 3, "isProcessing": False, "rejectReason": "No"}
        server.processing_as_number = True
        assert '"isProcessing":0' in ask(server, "status", transactionID=kept.id).text


def test_evrotrust_knows_groups_only_at_group_addresses() -> None:
    """A group asked for as a document, a document as a group, and anything unknown are 443 in plain text."""
    with Evrotrust() as server:
        server.add(Transaction("1", kind="group"))
        server.add(Transaction("2", kind="offline"))
        assert ask(server, "group/status", transactionID="1").status_code == 200
        assert ask(server, "status", transactionID="2").status_code == 200
        for path, wanted in (("status", "1"), ("group/status", "2"), ("status", "3"), ("download", "3")):
            missing = ask(server, path, transactionID=wanted)
            assert (missing.status_code, missing.text.endswith("not found")) == (443, True)


def test_evrotrust_thread_has_one_element_per_signer() -> None:
    """A document's thread lists its transactions, a group's thread each group with its documents inside."""
    with Evrotrust() as server:
        server.add(Transaction("1", thread_id="AA"))
        server.add(Transaction("2", 2, thread_id="AA"))
        server.add(Transaction("3", 2, reject_reason="one", thread_id="BB", kind="group", members=["4", "5"]))
        server.add(Transaction("4", 2, thread_id="BB"))
        server.add(Transaction("5", 3, thread_id="BB"))
        single = ask(server, "thread/status", threadID="AA").json()["statuses"]
        group = ask(server, "thread/status", threadID="BB").json()["statuses"]
        assert ask(server, "thread/status", threadID="CC").status_code == 443
    assert [[document["transactionID"] for document in element["documents"]] for element in single] == [["1"], ["2"]]
    assert (len(group), group[0]["groupTransactionID"], group[0]["groupStatus"]) == (1, "3", 2)
    assert [(document["transactionID"], document["status"]) for document in group[0]["documents"]] == [
        ("4", 2),
        ("5", 3),
    ]


def test_evrotrust_download_waits_until_the_file_is_made() -> None:
    """Pending, and signed but still processing, are 443; then comes a zip of the four entries, always the same."""
    with Evrotrust() as server:
        kept = server.add(Transaction("030011223344"))
        assert ask(server, "download", transactionID=kept.id).status_code == 443
        kept.status, kept.is_processing = 2, True
        assert ask(server, "download", transactionID=kept.id).status_code == 443
        kept.is_processing = False
        answer = ask(server, "download", transactionID=kept.id)
        again = ask(server, "download", transactionID=kept.id)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == again.content
    entries = unzip(answer.content)
    name = "030011223344_OUT.enc"
    assert list(entries) == [name, f"{name}.key", f"{name}.iv", f"{name}.filename"]
    assert (len(entries[f"{name}.iv"]), entries[f"{name}.filename"]) == (32, b"contract.pdf")
    assert len(entries[name]) > 7296


@pytest.mark.parametrize(("flat", "names"), [(False, ["4.zip"]), (True, ["4_OUT.enc"])])
def test_evrotrust_group_download_comes_nested_or_flat(flat: bool, names: list[str]) -> None:
    """A group's zip holds the signed members, as zips or as entries side by side; the rejected one is not in it."""
    with Evrotrust() as server:
        server.flat_groups = flat
        server.add(Transaction("3", 2, kind="group", members=["4", "5"]))
        server.add(Transaction("4", 2))
        server.add(Transaction("5", 3))
        assert list(unzip(ask(server, "group/download", transactionID="3").content))[:1] == names


def test_evrotrust_hashes_are_asked_for_elsewhere() -> None:
    """One-time signing of hashes has calls of its own; what they do not know is 443 as everywhere."""
    with Evrotrust() as server:
        server.add(Transaction("1", 2, kind="hash"))
        server.add(Transaction("2", 2, kind="hash-group", members=["1"]))
        for path, wanted, status in (
            ("offline/check", "1", 200),
            ("offline/check", "2", 443),
            ("group/offline/check", "2", 200),
            ("group/offline/check", "1", 443),
            ("offline/download", "1", 200),
            ("group/offline/download", "2", 200),
            ("group/offline/download", "3", 443),
        ):
            body = json.dumps({"vendorNumber": server.vendor_number, "transactionID": wanted}).encode()
            shown = {"Authorization": evrotrust.authorization(server.api_key, body)}
            assert CLIENT.post(f"{server.url}/hash/{path}", content=body, headers=shown).status_code == status


@pytest.mark.parametrize(("aes", "whole", "size"), [(False, False, 32), (True, False, 16), (False, True, 32)])
def test_evrotrust_encrypts_for_the_key_that_was_submitted(aes: bool, whole: bool, size: int) -> None:
    """A key of 32 bytes, wrapped as PKCS #1 v1.5; the IV of the cipher; pieces of 7 296 characters, or one text."""
    private, public = sealing.key_pair()
    made = sealing.Seal(public, aes, whole).entries("1_OUT.enc", bytes(9000), "Договор.pdf")
    key = serialization.load_pem_private_key(private, None)
    assert isinstance(key, RSAPrivateKey)
    assert len(key.decrypt(base64.b64decode(made["1_OUT.enc.key"]), padding.PKCS1v15())) == 32
    assert (len(made["1_OUT.enc.iv"]), made["1_OUT.enc.filename"].decode()) == (size, "Договор.pdf")
    assert len(base64.b64decode(made["1_OUT.enc"][:7296], validate=True)) == 5472
    assert made == sealing.Seal(public, aes, whole).entries("1_OUT.enc", bytes(9000), "Договор.pdf")
    assert made != sealing.Seal(public, aes, whole).entries("2_OUT.enc", bytes(9000), "Договор.pdf")


def test_evrotrust_callback_has_the_three_fields() -> None:
    """transactionID as text, status as number, rejectReason only when given."""
    assert evrotrust.callback("030011223344", 2) == b'{"transactionID":"030011223344","status":2}'
    rejected = evrotrust.callback("030011223344", 3, reject_reason="Не")
    assert rejected.decode() == '{"transactionID":"030011223344","status":3,"rejectReason":"Не"}'


def test_requests_are_remembered_as_they_came() -> None:
    """Method, raw path and query, headers in lower case, body and status can be read afterwards."""
    with Echo() as server:
        CLIENT.post(f"{server.url}/echo?a=%2F&a=2", content=b"\xff", headers={"X-Mixed": "Case"})
        CLIENT.get(f"{server.url}//else%2Fwhere")
        first, second = server.requests
        assert server.count("echo") == 1
    assert (first.method, first.path, first.query, first.body, first.status) == (
        "POST",
        "/echo",
        "a=%2F&a=2",
        b"\xff",
        200,
    )
    assert first.headers["x-mixed"] == "Case"
    assert (second.call, second.path) == ("unknown", "//else%2Fwhere")


def test_fault_status_and_headers_without_doing_anything() -> None:
    """A status fault answers instead of the call, with its headers, once."""
    with Echo() as server:
        server.faults.add(
            "echo", faults.Status(503, {"Retry-After": "7"}), faults.Status(443, body=b"Document not found")
        )
        first, second, third = echo(server), echo(server), echo(server)
        assert (first.status_code, first.headers["retry-after"]) == (503, "7")
        assert (second.status_code, second.text) == (443, "Document not found")
        assert (third.status_code, third.content, server.done) == (200, b"0123456789", 1)
        assert [asked.status for asked in server.requests] == [503, 443, 200]


def test_fault_page_is_html_with_200() -> None:
    """A page fault looks like success until one looks at the content."""
    with Echo() as server:
        server.faults.add("echo", faults.Page())
        answer = echo(server)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.content.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", [faults.Truncated(), faults.Truncated(keep=0), faults.WrongLength(by=5)])
def test_fault_less_than_promised_breaks_the_answer(fault: faults.Fault) -> None:
    """Fewer bytes than Content-Length says: the client learns it from the connection."""
    with Echo() as server:
        server.faults.add("echo", fault)
        with pytest.raises(httpx.RemoteProtocolError):
            echo(server)
        assert server.requests[0].status == 200


def test_fault_truncated_sends_the_first_part() -> None:
    """What arrives before the break is the beginning of the body, and Content-Length is the whole."""
    with Echo() as server:
        server.faults.add("echo", faults.Truncated(keep=4))
        with CLIENT.stream("POST", f"{server.url}/echo", content=b"0123456789") as answer:
            assert answer.headers["content-length"] == "10"
            pieces = answer.iter_raw()
            assert next(pieces) == b"0123"
            with pytest.raises(httpx.RemoteProtocolError):
                next(pieces)


def test_fault_wrong_length_cuts_an_answer_that_looks_whole() -> None:
    """More bytes than Content-Length says: the client sees a clean answer that is too short, and can go on."""
    with Echo() as server, httpx.Client(trust_env=False) as client:
        server.faults.add("echo", faults.WrongLength(by=-3))
        answer = client.post(f"{server.url}/echo", content=b"0123456789")
        assert (answer.status_code, answer.content) == (200, b"0123456")
        assert client.post(f"{server.url}/echo", content=b"0123456789").content == b"0123456789"


def test_fault_dropped_cuts_the_connection_after_the_work() -> None:
    """The client gets no status, although what it asked for was done."""
    with Echo() as server:
        server.faults.add("echo", faults.Dropped())
        with pytest.raises(httpx.TransportError):
            echo(server)
        assert (server.done, server.requests[0].status) == (1, None)


def test_fault_slow_takes_its_time_and_arrives_whole() -> None:
    """Pieces with a pause before each: the answer is late, and complete."""
    with Echo() as server:
        server.faults.add("echo", faults.Slow(delay=0.05, pieces=4))
        began = time.monotonic()
        assert echo(server).content == b"0123456789"
        assert time.monotonic() - began >= 0.2


def test_fault_hung_lasts_until_the_client_gives_up() -> None:
    """Nothing comes; the client's own timeout ends it."""
    with Echo() as server:
        server.faults.add("echo", faults.Hung())
        with pytest.raises(httpx.ReadTimeout):
            echo(server, timeout=0.1)
        assert server.requests[0].status is None
        assert echo(server).status_code == 200


def test_closing_cuts_what_hangs() -> None:
    """A hung request does not keep the imitation from stopping."""
    caught: list[Exception] = []

    def wait(server: Echo) -> None:
        try:
            echo(server, timeout=30)
        except httpx.TransportError as error:
            caught.append(error)

    server = Echo().start()
    server.faults.stand("echo", faults.Hung())
    waiting = threading.Thread(target=wait, args=(server,))
    waiting.start()
    while not server.requests:
        time.sleep(0.01)
    began = time.monotonic()
    server.close()
    waiting.join()
    assert (len(caught), time.monotonic() - began < 3) == (1, True)


def test_standing_faults_last_until_cleared_and_queued_ones_come_first() -> None:
    """A queue is used up in order, then the standing fault applies, for one call or for all, until it is cleared."""
    with Echo() as server:
        server.faults.stand(faults.ANY, faults.Status(500))
        server.faults.add("echo", faults.Status(502))
        assert [echo(server).status_code for _ in range(3)] == [502, 500, 500]
        server.faults.clear()
        assert echo(server).status_code == 200


def test_a_fault_for_a_call_that_does_not_exist_is_refused() -> None:
    """A misspelt call name is an error at once, not a fault that never comes."""
    with pytest.raises(KeyError, match="pacakge"):
        OneSpan().faults.add("pacakge", faults.Dropped())


def test_an_imitation_comes_back_on_its_port() -> None:
    """Closed, nobody answers; started again, it has its address and its memory back. Closing twice is no error."""
    server = Echo().start()
    address = server.url
    assert echo(server).status_code == 200
    server.close()
    server.close()
    with pytest.raises(httpx.ConnectError):
        echo(server)
    with server:
        assert (server.url, echo(server).status_code, server.count("echo")) == (address, 200, 2)


def test_a_port_in_use_is_refused() -> None:
    """Two imitations do not share a port."""
    with Echo() as server, pytest.raises(OSError, match="in use"):
        OneSpan(port=int(server.url.rsplit(":", 1)[1])).start()


def test_imitations_are_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Starting, answering, misbehaving and stopping leave nothing in the log."""
    caplog.set_level("DEBUG")
    with Echo() as server:
        server.faults.add("echo", faults.Dropped(), faults.Truncated(), faults.WrongLength(-1))
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                echo(server)
        echo(server)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_script_is_the_same_for_the_same_seed_only() -> None:
    """Bodies and paths repeat with the seed, and no package id repeats with another."""
    told = [(step.path, step.body) for step in play.script(1)]
    assert told == [(step.path, step.body) for step in play.script(1)]
    assert not {body for _, body in told} & {step.body for step in play.script(2)}


def test_script_holds_every_difficulty() -> None:
    """Early, doubled, crossed, unknown, consent, dash: each is in the script."""
    steps = play.script(1)
    told = [json.loads(step.body) for step in steps if step.provider == "onespan"]
    names: dict[str, list[str]] = {}
    for event in told:
        names.setdefault(event["packageId"], []).append(event["name"])
    early, doubled, crossed, declined, expired, trashed = names.values()
    assert early[-2:] == ["PACKAGE_COMPLETE", "SIGNER_COMPLETE"]
    assert doubled[-2:] == ["PACKAGE_COMPLETE", "PACKAGE_COMPLETE"]
    assert crossed.index("PACKAGE_CREATE") > crossed.index("PACKAGE_ACTIVATE")
    assert (declined[-1], expired[-1]) == ("PACKAGE_DECLINE", "PACKAGE_EXPIRE")
    assert trashed[2:] == ["PACKAGE_TRASH", "PACKAGE_RESTORE", "SIGNER_APPLAUDED"]
    assert [identity[0] for identity in names].count("-") == 1
    assert {len(identity) for identity in names} == {28}
    assert {identity[-1] for identity in names} == {"="}
    assert "default-consent" in {event["documentId"] for event in told}
    assert any(first.body == second.body for first, second in itertools.pairwise(steps))


def test_script_happens_within_an_hour() -> None:
    """The clock of the script stays inside the hour that the player puts before now."""
    dates = [json.loads(step.body).get("createdDate") for step in play.script(1)]
    assert max(date for date in dates if date) < "2026-11-20T10:00:00.000Z"


def test_player_tells_the_door_and_moves_the_providers() -> None:
    """Every callback reaches the door as the providers send it, and the providers end where the play says."""
    said: list[str] = []
    with Echo() as door, OneSpan() as first, Evrotrust() as second:
        began = time.monotonic()
        played = play.Player(door.url, first, second, callback_key="secret", pause=0.01, say=said.append).play()
        assert time.monotonic() - began < 4
        statuses = sorted((kept.status, kept.trashed) for kept in first.packages.values())
        assert statuses == sorted(
            [("COMPLETED", False)] * 3 + [("DECLINED", False), ("EXPIRED", False), ("SENT", False)]
        )
        assert sorted(kept.status for kept in second.transactions.values()) == [2, 2, 3, 4]
        done = [kept for kept in first.packages.values() if kept.completed]
        assert all(map(kept.signed_by, kept.signers) for kept in done)
        asked = door.requests
    assert {step.status for step in played} == {200}
    assert [request.body for request in asked] == [step.step.body for step in played]
    assert len(said) == len(played)
    sent = asked[0].headers
    assert (sent["authorization"], sent["user-agent"]) == ("Basic secret", "")
    assert sent["content-type"] == "application/json; charset=utf-8"
    assert [request.path.removeprefix("/callbacks/evrotrust") for request in asked[-4:]] == [
        "/document/ready",
        "/document/ready",
        "//document/ready",
        "/document/offline/ready",
    ]
    assert "authorization" not in asked[-1].headers


def test_player_goes_on_when_the_door_is_away() -> None:
    """A door that does not answer costs the callback, as with OneSpan, and does not stop the play."""
    with Echo() as door, OneSpan() as first, Evrotrust() as second:
        door.faults.add("unknown", faults.Dropped())
        played = play.Player(door.url, first, second, pause=0).play()
    assert [step.status for step in played[:2]] == [None, 200]
