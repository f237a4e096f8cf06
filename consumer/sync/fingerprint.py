"""Fingerprints: whether what would be sent now is what was sent last."""

import hashlib
import json
from datetime import date, datetime
from decimal import Decimal


def fingerprint(*parts: object) -> str:
    """A short digest of plain values. Equal values give equal fingerprints, on every machine and version."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    raise TypeError(f"a {type(value).__name__} has no fingerprint")
