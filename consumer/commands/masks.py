"""Values of a record as they may be shown: phones, e-mail addresses and names without what tells a person."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


_PERSONAL = frozenset({"first_name", "last_name", "email", "mobile_phone", "employee_id", "payroll_id"})
_SHOWN = 1


def document_of(value: Any, *, masked: bool) -> Any:
    """A record as a document; ``masked``, what is personal shows its first character only."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: _mask(getattr(value, one.name))
            if masked and one.name in _PERSONAL
            else document_of(getattr(value, one.name), masked=masked)
            for one in fields(value)
        }
    if isinstance(value, Mapping):
        return {name: document_of(one, masked=masked) for name, one in value.items()}
    return value


def _mask(value: str | None) -> str | None:
    return value and f"{value[:_SHOWN]}{'*' * 5}"
