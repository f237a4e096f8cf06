"""The settings with which a process takes a running sandbox for its upstreams."""

import json
from collections.abc import Mapping

from consumer.sandbox.demo import DemoData
from consumer.sandbox.server import SandboxAddress


def settings_for(address: SandboxAddress, data: DemoData) -> Mapping[str, str]:
    """Environment variables: addresses, invented credentials, and the one company that ``data`` is of."""
    company = {
        "company_id": data.procore["company"]["id"],
        "name": data.procore["company"]["name"],
        "smartbarrel_company_id": data.smartbarrel["company"]["id"],
    }
    return {
        "CREWSYNC_PROCORE_URL": address.procore_url,
        "CREWSYNC_PROCORE_LOGIN_URL": address.procore_login_url,
        "CREWSYNC_PROCORE_CLIENT_ID": address.client_id,
        "CREWSYNC_PROCORE_CLIENT_SECRET": address.client_secret,
        "CREWSYNC_SMARTBARREL_URL": address.smartbarrel_url,
        "CREWSYNC_SMARTBARREL_API_KEY": address.api_key,
        "CREWSYNC_COMPANIES": json.dumps([company]),
    }
