"""Deliveries in Procore's documented shapes, with a user of the small company in them."""

import json
from typing import Any

from tests.upstream.site import COMPANY


Json = dict[str, Any]
MARIA = 8800101
TOKEN = "token-7a2b9c44d1e0"


def v2(user_id: int = MARIA, company_id: object = COMPANY, **fields: Any) -> Json:
    """As Procore shows a payload of version 2.0."""
    return {
        "id": 123456789,
        "ulid": f"0A1B2C3D4F5G6H7I8J9K{user_id}",
        "timestamp": "2025-02-06T23:34:12.246562Z",
        "metadata": {
            "source_user_id": 987654321,
            "source_project_id": None,
            "source_operation_id": None,
            "source_company_id": company_id,
            "source_application_id": None,
        },
        "user_id": 987654321,
        "company_id": company_id,
        "project_id": None,
        "api_version": "v2.0",
        "event_type": "update",
        "resource_name": "Company Users",
        "resource_id": user_id,
    } | fields


def v3(user_id: int = MARIA, **fields: Any) -> Json:
    """Version 3.0: the same, and what is related."""
    related = [{"id": 1234, "name": "Direct Costs"}]
    return v2(user_id, api_version="v3.0", related_resources=related) | fields


def v4(user_id: int = MARIA, company_id: object = COMPANY, **fields: Any) -> Json:
    """Version 4.0: ids are texts, and there is no metadata."""
    return {
        "id": "01JMYXMZRBVKK0PC6XS8SA4QRE",
        "timestamp": "2025-02-25T16:04:43.619085Z",
        "reason": "update",
        "company_id": str(company_id),
        "project_id": None,
        "user_id": "5447",
        "resource_type": "Company Users",
        "resource_id": str(user_id),
    } | fields


def as_body(payload: object) -> bytes:
    """As it is sent."""
    return json.dumps(payload).encode()
