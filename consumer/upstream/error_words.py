"""What the body of a refusal says, in whichever of the known shapes. Pure."""

from collections.abc import Mapping, Sequence


_SAYING = ("error_description", "message", "fields", "reason")


def error_words(body: object) -> tuple[str, ...]:
    """Every message in an error body, word for word, whichever of the known shapes it has.

    ``{"message"}``, ``{"errors": "…"}``, ``{"errors": ["…"]}``, ``{"errors": {field: ["…"]}}``, a list of
    such objects as ``{"errors": […]}``, ``{"code", "message", "fields", "reason"}``,
    ``{"error": {"reason"}}``, ``{"error": {"code", "message", "details"}}``,
    ``{"error", "error_description"}`` and SmartBarrel's
    ``{"error": {"message", "fields": [{"field", "message"}]}}``.
    """
    if not isinstance(body, Mapping):
        return ()
    words = [*_from_errors(body.get("errors")), *_from_error(body.get("error"))]
    words += [body[key] for key in _SAYING if _is_said(body.get(key))]
    return tuple(dict.fromkeys(words))


def _from_errors(errors: object) -> list[str]:
    if isinstance(errors, str):
        return [errors]
    if isinstance(errors, Sequence):
        return [word for error in errors for word in _from_item(error)]
    return _from_fields(errors)


def _from_item(error: object) -> list[str]:
    """The words of one error of a list: a text, or an object, of which a sync action's repeats the input."""
    if isinstance(error, str):
        return [error]
    if not isinstance(error, Mapping):
        return []
    said = [error["message"]] if _is_said(error.get("message")) else []
    return said + _from_fields(error.get("errors"))


def _from_fields(errors: object) -> list[str]:
    if not isinstance(errors, Mapping):
        return []
    return [
        f"{field} {message}"
        for field, messages in errors.items()
        for message in (messages if isinstance(messages, list) else [messages])
    ]


def _from_error(error: object) -> list[str]:
    if isinstance(error, str):
        return [error]
    if not isinstance(error, Mapping):
        return []
    fields = error.get("fields")
    if isinstance(fields, list) and fields:
        return [_entry_words(entry) for entry in fields]
    said = [str(error[key]) for key in ("reason", "message") if error.get(key)]
    details = error.get("details")
    return said + [_entry_words(entry) for entry in details] if isinstance(details, list) else said


def _entry_words(entry: object) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    source, message = entry.get("source"), str(entry.get("message", dict(entry)))
    return f"{source} {message}" if source else message


def _is_said(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
