"""Settings come from the environment and a file, and are checked all at once, without showing a secret."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumer import config
from consumer.config import Config
from consumer.exceptions import ConfigurationError
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry


SECRET = "hunter2-5f4dcc3b5aa7"
COMPANY = {"company_id": 4281001, "name": "Granite Ridge", "smartbarrel_company_id": "granite-ridge"}
REAL = {
    "CREWSYNC_PROCORE_CLIENT_ID": "client-7f1e",
    "CREWSYNC_PROCORE_CLIENT_SECRET": SECRET,
    "CREWSYNC_SMARTBARREL_URL": "https://api.smartbarrel.example",
    "CREWSYNC_SMARTBARREL_API_KEY": SECRET,
    "CREWSYNC_COMPANIES": json.dumps([COMPANY]),
}
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads settings from given variables and, if given, the text of an env file; from nothing else."""

    def one(file: str | bytes | None = None, **variables: str) -> Config:
        path = tmp_path / "env"
        if file is not None:
            path.write_bytes(file if isinstance(file, bytes) else file.encode())
        return config.load(variables, path)

    return one


@pytest.fixture
def refusal(load: Load) -> Callable[..., str]:
    """The message with which settings are refused."""

    def one(file: str | bytes | None = None, **variables: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            load(file, **variables)
        return str(caught.value)

    return one


def without(*names: str, **more: str) -> dict[str, str]:
    """A whole real set of settings without some, and with others."""
    return {name: value for name, value in {**REAL, **more}.items() if name not in names}


def secret_of(value: Any) -> str:
    assert value is not None
    return str(value.get_secret_value())


# ------------------------------------------------------------------ where settings come from


def test_without_any_setting_the_sandbox_and_the_defaults_are_used(load: Load) -> None:
    loaded = load()
    assert loaded.uses_sandbox
    assert loaded.broker_url == "embedded:var/broker.db"
    assert loaded.log_dir == Path("var/sync-logs")
    assert (str(loaded.procore_url), str(loaded.procore_login_url)) == (
        "https://api.procore.com/",
        "https://login.procore.com/",
    )
    assert (loaded.topic_prefix, loaded.companies, loaded.schema_registry_url) == ("", (), None)


def test_the_environment_wins_over_the_file(load: Load) -> None:
    loaded = load(
        "CREWSYNC_TOPIC_PREFIX=from-file\nCREWSYNC_LOG_LEVEL=debug\n", CREWSYNC_TOPIC_PREFIX="from-env"
    )
    assert (loaded.topic_prefix, loaded.log_level) == ("from-env", "debug")


def test_other_peoples_variables_are_no_matter(load: Load) -> None:
    assert load("PATH=/bin\nOTHER=1\n", HOME="/root", CREWS="1").uses_sandbox


def test_a_file_that_is_missing_is_no_error(tmp_path: Path) -> None:
    assert config.load({}, tmp_path / "nothing").uses_sandbox


def test_the_processes_own_environment_is_used_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREWSYNC_TOPIC_PREFIX", "mine.")
    assert config.load(env_file=tmp_path / "nothing").topic_prefix == "mine."
    assert config.load({}, tmp_path / "nothing").topic_prefix == ""


def test_a_file_that_is_no_text_is_a_problem(refusal: Callable[..., str]) -> None:
    assert "env cannot be read" in refusal(b"\xff\xfe\x00broken")


def test_a_secret_with_a_dollar_sign_in_the_file_is_taken_as_it_is(load: Load) -> None:
    lines = [f"{name}={value}" for name, value in without("CREWSYNC_SMARTBARREL_API_KEY").items()]
    loaded = load("\n".join([*lines, "CREWSYNC_SMARTBARREL_API_KEY=ab${HOME}cd$1"]))
    assert secret_of(loaded.smartbarrel_api_key) == "ab${HOME}cd$1"


# ------------------------------------------------------------------ sandbox or real


def test_a_whole_set_of_real_settings_is_no_sandbox(load: Load) -> None:
    loaded = load(**REAL)
    assert not loaded.uses_sandbox
    assert secret_of(loaded.procore_client_secret) == SECRET


@pytest.mark.parametrize("name", sorted(REAL))
def test_one_real_setting_alone_is_never_the_sandbox_and_all_that_lacks_is_named(
    refusal: Callable[..., str], name: str
) -> None:
    """Whoever has set something real must not find invented people in their logs."""
    message = refusal(**{name: REAL[name]})
    assert [one for one in REAL if one not in message] == [name]


@pytest.mark.parametrize("name", sorted(REAL))
def test_of_a_real_set_nothing_may_lack(refusal: Callable[..., str], name: str) -> None:
    message = refusal(**without(name))
    assert name in message
    assert not any(other in message for other in REAL if not other.startswith(name))


@pytest.mark.parametrize("name", sorted(set(REAL) - {"CREWSYNC_COMPANIES", "CREWSYNC_SMARTBARREL_URL"}))
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_secret_is_a_missing_one(refusal: Callable[..., str], name: str, empty: str) -> None:
    """Container tools pass a variable that is not set as an empty one."""
    assert name in refusal(**{**REAL, name: empty})


def test_an_address_of_procore_alone_means_real_upstreams_whose_rest_is_missing(
    refusal: Callable[..., str],
) -> None:
    """Invented people must not reach a real platform because a secret was not found."""
    assert "CREWSYNC_PROCORE_CLIENT_SECRET" in refusal(CREWSYNC_PROCORE_URL="https://sandbox.procore.com")


def test_a_company_may_have_its_own_credentials(load: Load) -> None:
    own = {
        **COMPANY,
        "procore_client_id": "own",
        "procore_client_secret": "own",
        "smartbarrel_api_key": "own",
    }
    lacking = [name for name in REAL if "PROCORE" in name or "KEY" in name]
    loaded = load(**without(*lacking, CREWSYNC_COMPANIES=json.dumps([own])))
    assert secret_of(loaded.companies[0].procore_client_secret) == "own"


def test_common_credentials_are_needed_as_soon_as_one_company_has_none_of_its_own(
    refusal: Callable[..., str],
) -> None:
    own = {**COMPANY, "smartbarrel_api_key": "own"}
    other = {**COMPANY, "company_id": 2, "smartbarrel_company_id": "two"}
    companies = json.dumps([own, other])
    message = refusal(**without("CREWSYNC_SMARTBARREL_API_KEY", CREWSYNC_COMPANIES=companies))
    assert "CREWSYNC_SMARTBARREL_API_KEY" in message


# ------------------------------------------------------------------ all problems at once


def test_all_problems_come_in_one_message_each_on_its_line(refusal: Callable[..., str]) -> None:
    message = refusal(
        CREWSYNC_LOG_LEVEL="loud",
        CREWSYNC_TOPIC_PREFIX="with blanks",
        CREWSYNC_PROCORE_URL="nowhere",
        CREWSYNC_BROKER_ULR="embedded:x",
        CREWSYNC_SMARTBARREL_API_KEY_FILE="/nonexistent/key",
    )
    names = [
        "CREWSYNC_LOG_LEVEL",
        "CREWSYNC_TOPIC_PREFIX",
        "CREWSYNC_PROCORE_URL",
        "CREWSYNC_BROKER_ULR",
        "CREWSYNC_SMARTBARREL_API_KEY_FILE",
    ]
    lines = message.splitlines()
    assert all(sum(line.strip().startswith(f"{name}:") for line in lines) == 1 for name in names)


def test_what_lacks_is_said_together_with_what_is_wrong(refusal: Callable[..., str]) -> None:
    message = refusal(**without("CREWSYNC_SMARTBARREL_URL", CREWSYNC_LOG_LEVEL="loud"))
    assert "CREWSYNC_LOG_LEVEL" in message
    assert "CREWSYNC_SMARTBARREL_URL" in message


def test_every_wrong_field_of_a_company_is_named(refusal: Callable[..., str]) -> None:
    wrong = {
        "company_id": -1,
        "name": "",
        "smartbarrel_company_id": "a b",
        "default_region": "usa",
        "colour": 1,
    }
    message = refusal(**{**REAL, "CREWSYNC_COMPANIES": json.dumps([COMPANY, wrong])})
    fields = ["company_id", "name", "smartbarrel_company_id", "default_region", "colour"]
    assert all(f"CREWSYNC_COMPANIES (1.{field}):" in message for field in fields)


def test_a_company_that_is_named_twice_is_a_problem(refusal: Callable[..., str]) -> None:
    message = refusal(**{**REAL, "CREWSYNC_COMPANIES": json.dumps([COMPANY, COMPANY])})
    assert "4281001" in message


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CREWSYNC_BROKER_ULR", "CREWSYNC_BROKER_URL"),
        ("CREWSYNC_PROCORE_SECRET", "CREWSYNC_PROCORE_CLIENT_SECRET"),
        ("CREWSYNC_SMARTBARREL_APIKEY", "CREWSYNC_SMARTBARREL_API_KEY"),
        ("crewsync_log_levle", "CREWSYNC_LOG_LEVEL"),
    ],
)
def test_an_unknown_name_is_a_problem_with_the_nearest_right_one(
    refusal: Callable[..., str], wrong: str, right: str
) -> None:
    assert f"{wrong}: no such setting; did you mean {right}" in refusal(**{wrong: "x"})


def test_faults_are_for_the_sandbox_only(load: Load, refusal: Callable[..., str]) -> None:
    assert load().sandbox_faults is None
    assert load(CREWSYNC_SANDBOX_FAULTS="faults.toml").sandbox_faults == Path("faults.toml")
    message = refusal(**REAL, CREWSYNC_SANDBOX_FAULTS="faults.toml")
    assert message.splitlines()[1:] == [
        "  CREWSYNC_SANDBOX_FAULTS: for the sandbox only, but real upstreams are configured"
    ]


def test_an_unknown_name_like_no_other_gets_no_suggestion(refusal: Callable[..., str]) -> None:
    assert "did you mean" not in refusal(CREWSYNC_QQQQ="x")


def test_an_unknown_name_in_the_file_is_a_problem_too(refusal: Callable[..., str]) -> None:
    assert "CREWSYNC_BROKER_ULR" in refusal("CREWSYNC_BROKER_ULR=embedded:x\n")


# ------------------------------------------------------------------ secrets in files


@pytest.mark.parametrize("name", ["PROCORE_CLIENT_ID", "PROCORE_CLIENT_SECRET", "SMARTBARREL_API_KEY"])
def test_a_secret_may_be_in_a_file_with_or_without_a_line_end(load: Load, tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    for content in ("from-file", "from-file\n", " from-file\r\n"):
        path.write_text(content)
        loaded = load(**without(f"CREWSYNC_{name}", **{f"CREWSYNC_{name}_FILE": str(path)}))
        assert secret_of(getattr(loaded, name.lower())) == "from-file"


def test_a_secret_that_is_given_twice_is_a_problem(refusal: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from-file")
    message = refusal(**REAL, CREWSYNC_PROCORE_CLIENT_SECRET_FILE=str(path))
    assert "CREWSYNC_PROCORE_CLIENT_SECRET_FILE: set together with CREWSYNC_PROCORE_CLIENT_SECRET" in message


@pytest.mark.parametrize(
    "content",
    [None, b"", b" \n", b"\xff\xfe", b"x" * 70_000],
    ids=["missing", "empty", "blank", "binary", "huge"],
)
def test_a_secrets_file_that_holds_none_is_a_problem(
    refusal: Callable[..., str], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    name = "CREWSYNC_PROCORE_CLIENT_SECRET"
    message = refusal(**without(name, **{f"{name}_FILE": str(path)}))
    assert f"{name}_FILE: the file cannot be read" in message


def test_only_a_secret_may_be_in_a_file(refusal: Callable[..., str]) -> None:
    assert "CREWSYNC_BROKER_URL_FILE: no such setting" in refusal(CREWSYNC_BROKER_URL_FILE="x")


# ------------------------------------------------------------------ health and metrics


def test_health_and_metrics_are_for_this_machine_unless_the_settings_say_otherwise(load: Load) -> None:
    loaded = load()
    assert (loaded.metrics_host, loaded.metrics_port, loaded.metrics_token) == ("127.0.0.1", 9464, None)
    assert loaded.stuck_s == 120


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_on_this_machine_no_token_is_needed(load: Load, host: str) -> None:
    assert load(CREWSYNC_METRICS_HOST=host).metrics_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "crewsync.example", "localhost.example"])  # noqa: S104
def test_beyond_this_machine_a_token_is_demanded(
    load: Load, refusal: Callable[..., str], tmp_path: Path, host: str
) -> None:
    message = refusal(CREWSYNC_METRICS_HOST=host)
    assert "CREWSYNC_METRICS_TOKEN (or CREWSYNC_METRICS_TOKEN_FILE): missing" in message
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    given = load(CREWSYNC_METRICS_HOST=host, CREWSYNC_METRICS_TOKEN=SECRET)
    from_file = load(CREWSYNC_METRICS_HOST=host, CREWSYNC_METRICS_TOKEN_FILE=str(path))
    assert secret_of(given.metrics_token) == secret_of(from_file.metrics_token) == SECRET


def test_a_missing_token_is_said_together_with_what_is_wrong(refusal: Callable[..., str]) -> None:
    message = refusal(CREWSYNC_METRICS_HOST="::", CREWSYNC_METRICS_PORT="high", CREWSYNC_LOG_LEVEL="loud")
    names = ("CREWSYNC_METRICS_TOKEN", "CREWSYNC_METRICS_PORT", "CREWSYNC_LOG_LEVEL")
    assert all(name in message for name in names)


def test_a_token_makes_no_real_upstreams(load: Load) -> None:
    assert load(CREWSYNC_METRICS_TOKEN=SECRET).uses_sandbox


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_PORT", "-1"),
        ("METRICS_PORT", "65536"),
        ("METRICS_HOST", "http://here"),
        ("METRICS_TOKEN", "with blanks"),
        ("STUCK_S", "0"),
        ("STUCK_S", "nan"),
        ("STUCK_S", "inf"),
    ],
)
def test_a_setting_of_health_that_cannot_be_is_named(
    refusal: Callable[..., str], name: str, value: str
) -> None:
    assert f"CREWSYNC_{name}: " in refusal(**{f"CREWSYNC_{name}": value})


# ------------------------------------------------------------------ companies


TOML = """
[[companies]]
company_id = 4281001
name = "Granite Ridge"
smartbarrel_company_id = "granite-ridge"
user_sync = false
only_approved_shift = false
include_sub_workers = true
sync_classifications = true
deactivate_workers = true
time_entry = "start_stop"
default_region = "CA"

[companies.project_time_entry]
2790002 = "total_hours"
2790001 = "start_stop"
"""


def test_companies_are_a_json_list_or_a_path_to_a_toml_file(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "companies.toml"
    path.write_text(TOML)
    choices: dict[str, Any] = {
        "user_sync": False,
        "only_approved_shift": False,
        "include_sub_workers": True,
        "sync_classifications": True,
        "deactivate_workers": True,
        "time_entry": "start_stop",
        "project_time_entry": {"2790001": "start_stop", "2790002": "total_hours"},
        "default_region": "CA",
    }
    from_toml = load(**{**REAL, "CREWSYNC_COMPANIES": str(path)})
    from_json = load(**{**REAL, "CREWSYNC_COMPANIES": f" {json.dumps([{**COMPANY, **choices}])}"})
    assert from_toml.companies == from_json.companies
    (company,) = from_toml.companies
    assert (company.name, company.smartbarrel_company_id) == ("Granite Ridge", "granite-ridge")
    projects = (
        ProjectTimeEntry(2790001, TimeEntry.START_STOP),
        ProjectTimeEntry(2790002, TimeEntry.TOTAL_HOURS),
    )
    assert company.settings == CompanySettings(4281001, **{**choices, "project_time_entry": projects})
    assert company.settings.time_entry_of(2790002) is TimeEntry.TOTAL_HOURS
    assert company.settings.time_entry_of(2790003) is TimeEntry.START_STOP


def test_a_company_that_chooses_nothing_has_the_defaults(load: Load) -> None:
    assert load(**REAL).companies[0].settings == CompanySettings(4281001)


@pytest.mark.parametrize(
    "value",
    [
        '[{"company_id": 1,',
        "{}",
        "nowhere.toml",
        "",
        "[1, 2]",
        "\x00",
        "x" * 5000,
    ],
)
def test_companies_that_cannot_be_read_are_a_problem(refusal: Callable[..., str], value: str) -> None:
    assert "CREWSYNC_COMPANIES" in refusal(**{**REAL, "CREWSYNC_COMPANIES": value})


@pytest.mark.parametrize(
    "content",
    [b"", b"companies = 1", b"[[company]]\n", b"[[companies]\n", b"\xff\xfe", TOML.encode() + b"[more]\n"],
)
def test_a_toml_file_that_holds_no_companies_is_a_problem(
    refusal: Callable[..., str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "companies.toml"
    path.write_bytes(content)
    assert "CREWSYNC_COMPANIES" in refusal(**{**REAL, "CREWSYNC_COMPANIES": str(path)})


# ------------------------------------------------------------------ no secret shows


def test_no_secret_is_in_any_text_of_the_settings(load: Load) -> None:
    own = {**COMPANY, "procore_client_secret": SECRET, "smartbarrel_api_key": SECRET}
    loaded = load(
        **{**REAL, "CREWSYNC_COMPANIES": json.dumps([own])},
        CREWSYNC_SCHEMA_REGISTRY_URL=f"https://reader:{SECRET}@registry.example/",
        CREWSYNC_METRICS_TOKEN=SECRET,
    )
    texts = f"{loaded} {loaded!r} {loaded.companies} {loaded.companies[0]!r} {loaded.model_dump_json()}"
    assert SECRET not in texts
    assert secret_of(pickle.loads(pickle.dumps(loaded)).procore_client_secret) == SECRET  # noqa: S301 - our own


@pytest.mark.parametrize(
    "wrong",
    [
        {"CREWSYNC_LOG_LEVEL": SECRET},
        {"CREWSYNC_PROCORE_URL": f"//{SECRET}"},
        {"CREWSYNC_SCHEMA_REGISTRY_URL": f"ftp://reader:{SECRET}@registry.example"},
        {"CREWSYNC_PROCORE_CLIENT_SECRT": SECRET},
        {"CREWSYNC_COMPANIES": json.dumps([{**COMPANY, "smartbarrel_api_key": [SECRET]}])},
        {"CREWSYNC_COMPANIES": json.dumps([{**COMPANY, "default_region": SECRET}])},
        {"CREWSYNC_COMPANIES": f'[{{"smartbarrel_api_key": "{SECRET}"'},
        {"CREWSYNC_COMPANIES": f'{{"smartbarrel_api_key": "{SECRET}"}}'},
        {"CREWSYNC_COMPANIES": json.dumps([SECRET])},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}={next(iter(wrong.values()))[:12]}",
)
def test_no_secret_is_in_the_refusal(refusal: Callable[..., str], wrong: dict[str, str]) -> None:
    message = refusal(**{**REAL, **wrong})
    assert SECRET not in message
    assert next(iter(wrong)) in message


def test_no_secret_is_in_the_refusal_of_a_toml_file(refusal: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "companies.toml"
    path.write_text(f'[[companies]]\nsmartbarrel_api_key = "{SECRET}\nname = 1')
    assert SECRET not in refusal(**{**REAL, "CREWSYNC_COMPANIES": str(path)})


# ------------------------------------------------------------------ webhooks


def test_webhooks_are_taken_on_this_machine_by_whoever_has_the_token(load: Load, tmp_path: Path) -> None:
    loaded = load()
    assert (loaded.webhooks_host, loaded.webhooks_port) == ("127.0.0.1", 8081)
    assert loaded.webhooks_token is None
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    assert secret_of(load(CREWSYNC_WEBHOOKS_TOKEN_FILE=str(path)).webhooks_token) == SECRET
    assert SECRET not in repr(load(CREWSYNC_WEBHOOKS_TOKEN=SECRET))


@pytest.mark.parametrize("ids", ["5447", "5447, 31", "5447,my-app_1"])
def test_own_ids_are_a_list_with_commas(load: Load, ids: str) -> None:
    assert load(CREWSYNC_WEBHOOKS_OWN_IDS=ids).webhooks_own_ids == ids


@pytest.mark.parametrize("ids", ["5447;31", "5447,,31", "a b"])
def test_own_ids_of_another_shape_are_refused(refusal: Callable[..., str], ids: str) -> None:
    assert "CREWSYNC_WEBHOOKS_OWN_IDS" in refusal(CREWSYNC_WEBHOOKS_OWN_IDS=ids)
