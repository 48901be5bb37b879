"""The JSON bodies of the imitated OneSpan API, in the shapes of OneSpan's OpenAPI description 11.51.

A package's JSON carries what the real one does, with it what nobody may store: answers to challenge questions, social
security numbers, tokens. `PRIVATE` lists those values, so that a test can look for them in everything a listener kept.
"""

from datetime import datetime

from listener.demo.packages import CONSENT, Document, Message, Package, Signer, iso
from listener.demo.papers import document as paper

PRIVATE = ("Rex the dog", "078-05-1120", "+359 2 555 0199", "tok_4f1c77a09d", "salesforce-origin-9c1")

Json = dict[str, object]
# Senders have ids of 12 characters in mixed case, signers mostly UUIDs.
SENDER = Signer("8QS1yr3q8DEZ", "Sonya", "Dimitrova", "Sender")


def package(kept: Package) -> Json:
    """Return what GET /packages/{id} answers."""
    return {
        **_about(kept),
        **_dates(kept),
        "sender": {
            **_person(SENDER, kept),
            "type": "MANAGER",
            "status": "ACTIVE",
            "memberships": [],
            "hasDelegates": False,
        },
        "roles": [_role(kept, signer, index) for index, signer in enumerate(kept.signers, start=1)],
        "documents": [
            _consent(kept),
            *(_document(kept, at, index) for index, at in enumerate(kept.documents, start=1)),
        ],
        "messages": [_message(kept, message) for message in kept.messages],
        "settings": {"ceremony": {"inPerson": False, "declineButton": True, "optOutButton": False}},
        "limits": {"documents": 200, "roles": 40},
        "data": {"origin_key": PRIVATE[4]},
    }


def audit(kept: Package) -> Json:
    """Return what GET /packages/{id}/audit answers."""
    names = {signer.id: signer for signer in kept.signers}
    documents = {document.id: document.name for document in kept.documents}
    events = [("Accept", at, names[who], CONSENT) for who, at in kept.consents.items()]
    events += [("Click To Sign", at, names[who], documents[what]) for (what, who), at in kept.signatures.items()]
    events += [("Decline", message.created, message.sender, kept.name) for message in kept.messages]
    events.sort(key=lambda event: event[1])
    return {"package-id": kept.id, "audit-events": [_audited(*event) for event in events]}


def field_summary(kept: Package) -> list[Json]:
    """Return what GET /packages/{id}/fieldSummary answers: one signature field per signer and document."""
    return [
        {
            "signerId": s.id,
            "documentId": d.id,
            "fieldId": f"field-{s.role}",
            "fieldName": s.role,
            "fieldValue": _when(kept, d, s),
        }
        for d in kept.documents
        for s in kept.signers
    ]


def error(code: int, key: str, message: str, name: str) -> Json:
    """Return OneSpan's error shape."""
    return {"code": code, "messageKey": key, "message": message, "name": name}


def _about(kept: Package) -> Json:
    return {
        "id": kept.id,
        "name": kept.name,
        "description": "",
        "emailMessage": "",
        "status": kept.status,
        "trashed": kept.trashed,
        "type": "PACKAGE",
        "visibility": "ACCOUNT",
        "language": "en",
        "timezoneId": "GMT",
        "autocomplete": kept.autocomplete,
        "notarized": False,
        "bulkSendable": False,
        "consent": None,
        "signedDocumentDelivery": None,
    }


def _dates(kept: Package) -> Json:
    optional = {"completed": kept.completed, "due": kept.due}
    dated: Json = {"created": iso(kept.created), "updated": iso(kept.updated)}
    return dated | {name: None if at is None else iso(at) for name, at in optional.items()}


def _person(signer: Signer, kept: Package) -> Json:
    return {
        "id": signer.id,
        "name": signer.name,
        "firstName": signer.first_name,
        "lastName": signer.last_name,
        "email": signer.email,
        "company": "Example Ltd",
        "phone": PRIVATE[2],
        "language": "en",
        "timezoneId": "GMT",
        "created": iso(kept.created),
        "updated": iso(kept.created),
        "professionalIdentityFields": [],
        "userCustomFields": [],
    }


def _role(kept: Package, signer: Signer, index: int) -> Json:
    known: Json = {"socialSecurityNumber": PRIVATE[1], "firstName": signer.first_name, "lastName": signer.last_name}
    challenge = {"question": "Name of your first pet?", "answer": PRIVATE[0], "maskInput": False}
    secrets: Json = {
        "auth": {"scheme": "CHALLENGE", "challenges": [challenge]},
        "knowledgeBasedAuthentication": {"signerInformationForEquifaxUSA": known},
        "delivery": {"provider": False, "email": True, "download": True},
        "signerType": "EXTERNAL_SIGNER",
    }
    return {
        "id": signer.role,
        "name": signer.role,
        "type": "SIGNER",
        "index": index,
        "locked": False,
        "reassign": True,
        "attachmentRequirements": [
            {"id": f"attachment-{name}", "name": name, "description": "", "required": True, "status": "COMPLETE"}
            for role, name in kept.attachments
            if role == signer.role
        ],
        "signers": [_person(signer, kept) | secrets],
    }


def _consent(kept: Package) -> Json:
    approvals: list[Json] = [
        {
            "id": f"consent-{signer.role}",
            "role": signer.role,
            "accepted": _stamp(kept.consents.get(signer.id)),
            "fields": [],
        }
        for signer in kept.signers
    ]
    name = "Electronic Disclosures and Signatures Consent"
    return _paper(CONSENT, name, 0, size=0) | {"approvals": approvals}


def _document(kept: Package, wanted: Document, index: int) -> Json:
    approvals: list[Json] = [
        {"id": f"approval-{signer.role}", "role": signer.role, "signed": _when(kept, wanted, signer), "fields": []}
        for signer in kept.signers
    ]
    described = _paper(wanted.id, wanted.name, index, size=len(paper(kept, wanted)))
    return described | {"approvals": approvals, "signerVerificationToken": PRIVATE[3]}


def _paper(identity: str, name: str, index: int, size: int) -> Json:
    empty: Json = {"description": "", "fields": [], "pages": [], "extractionTypes": [], "data": {}}
    return {"id": identity, "name": name, "index": index, "size": size, "extract": False, "tagged": False} | empty


def _message(kept: Package, message: Message) -> Json:
    sender, receiver = _person(message.sender, kept), _person(SENDER, kept)
    return {
        "status": "NEW",
        "from": sender,
        "to": [receiver],
        "content": message.content,
        "created": iso(message.created),
        "documents": [],
    }


def _audited(kind: str, at: datetime, signer: Signer, target: str) -> Json:
    where = {"target": target, "target-type": "Document", "user-ip": "192.0.2.7", "data": ""}
    return {"type": kind, "date-time": iso(at), "user": signer.name, "user-email": signer.email, **where}


def _when(kept: Package, wanted: Document, signer: Signer) -> str | None:
    return _stamp(kept.signatures.get((wanted.id, signer.id)))


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else iso(at)
