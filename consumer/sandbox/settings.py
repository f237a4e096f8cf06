"""The settings with which a process takes a running sandbox for its upstreams."""

import json
from collections.abc import Mapping
from pathlib import Path

from consumer.sandbox.demo import DemoData
from consumer.sandbox.server import SandboxAddress


def settings_for(
    address: SandboxAddress, data: DemoData, secret_file: Path | None = None
) -> Mapping[str, str]:
    """Environment variables: addresses, invented credentials, and the one company that ``data`` is of.

    A secret from a file is named by the file, so that it is in no output.
    """
    company = {
        "company_id": data.procore["company"]["id"],
        "name": data.procore["company"]["name"],
        "smartbarrel_company_id": data.smartbarrel["company"]["id"],
    }
    return {
        "CREWSYNC_PROCORE_URL": address.procore_url,
        "CREWSYNC_PROCORE_LOGIN_URL": address.procore_login_url,
        "CREWSYNC_PROCORE_CLIENT_ID": address.client_id,
        "CREWSYNC_SMARTBARREL_URL": address.smartbarrel_url,
        **_secrets(address, secret_file),
        "CREWSYNC_COMPANIES": json.dumps([company]),
    }


def _secrets(address: SandboxAddress, secret_file: Path | None) -> Mapping[str, str]:
    if secret_file is None:
        return {
            "CREWSYNC_PROCORE_CLIENT_SECRET": address.client_secret,
            "CREWSYNC_SMARTBARREL_API_KEY": address.api_key,
        }
    names = ("CREWSYNC_PROCORE_CLIENT_SECRET_FILE", "CREWSYNC_SMARTBARREL_API_KEY_FILE")
    return dict.fromkeys(names, str(secret_file.absolute()))
