"""SmartBarrel's idempotency keys: the same request with the same key is answered with the same words."""

import hashlib
import json

from consumer.sandbox.exchange import Call, Reply
from consumer.sandbox.smartbarrel_wire import error, one_invalid


MAX_KEY_LENGTH = 255


def earlier_answer(call: Call) -> Reply | None:
    """The answer that this request's key got before; None if the key is new.

    Refused if there is no key, or if it came with another body.
    """
    key = call.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise one_invalid("Idempotency-Key", f"{'Missing' if not key else 'Too long'} idempotency key")
    row = call.db.execute("SELECT request, answer FROM idempotency_keys WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    if row[0] != _fingerprint(call):
        raise error(409, "idempotency_key_reused", "This idempotency key was used with another request body")
    return Reply(json.loads(row[1]), 201)


def answered(call: Call, reply: Reply) -> Reply:
    """The reply, which from now on belongs to the request's key."""
    values = (call.headers["idempotency-key"], _fingerprint(call), json.dumps(reply.body))
    call.db.execute("INSERT INTO idempotency_keys VALUES (?, ?, ?)", values)
    return reply


def _fingerprint(call: Call) -> str:
    try:
        body = json.dumps(json.loads(call.body), sort_keys=True)
    except ValueError:
        body = call.body.hex()
    return hashlib.sha256(f"{call.url.rpartition('/')[2]}\n{body}".encode()).hexdigest()
