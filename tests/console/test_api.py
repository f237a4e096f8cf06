"""What programs may rely on: paging, one sync for one key, settings, redrive, errors of one form."""

import asyncio

import httpx

from consumer.model.events import Kind
from consumer.model.results import Phase
from tests.console.scene import GRANITE, OTHER, Scene, result
from tests.console.test_attacks import on


BASE = f"/api/v1/companies/{GRANITE}"
SYNCS = f"{BASE}/syncs"


def test_paging_walks_through_everything_once(here: Scene) -> None:
    here.run(results=[result(number, f"Person {number:03}") for number in range(101)], run_id="paged")

    async def ask(client: httpx.AsyncClient) -> None:
        found: list[str] = []
        offset: int | None = 0
        while offset is not None:
            page = (
                await client.get(
                    f"{BASE}/logs/users/runs/paged/results", params={"limit": 17, "offset": offset}
                )
            ).json()
            assert page["total"] == 101
            found += [one["name"] for one in page["items"]]
            offset = page["next_offset"]
        assert found == [f"Person {number:03}" for number in range(101)]

    on(here, ask)


def test_the_same_key_is_one_sync_however_often_and_wherever_it_is_sent(here: Scene) -> None:
    before = len(here.commands())
    wish, key = {"kind": "users", "requested_by": "Payroll"}, {"Idempotency-Key": "week-48"}

    async def ask(client: httpx.AsyncClient) -> None:
        answers = [await client.post(SYNCS, json=wish, headers=key) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["run_id"] for answer in answers}) == 1

    on(here, ask)
    assert len(here.commands()) == before + 1
    run_id = here.commands()[-1].run_id

    # Another process, that has never heard of it: the run is known by its marker.
    here.run(run_id=run_id, requested_by="Payroll", phase=Phase.READING)
    here.until(lambda: here.live.own_state(run_id) is not None)
    here.live._asked.clear()
    on(here, ask)
    assert len(here.commands()) == before + 1


def test_a_key_that_was_used_for_another_wish_is_refused(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        key = {"Idempotency-Key": "one-wish"}
        assert (await client.post(SYNCS, json={"kind": "users"}, headers=key)).status_code == 202
        answer = await client.post(SYNCS, json={"kind": "timesheets"}, headers=key)
        assert answer.status_code == 422
        assert "Idempotency-Key" in answer.json()["detail"]
        other = f"/api/v1/companies/{OTHER}/syncs"
        assert (await client.post(other, json={"kind": "timesheets"}, headers=key)).status_code == 202

    on(here, ask)


def test_keys_sent_at_the_same_moment_are_one_sync(here: Scene) -> None:
    before = len(here.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        key = {"Idempotency-Key": "at-once"}
        answers = await asyncio.gather(
            *(client.post(SYNCS, json={"kind": "users"}, headers=key) for _ in range(8))
        )
        assert len({answer.json()["run_id"] for answer in answers}) == 1

    on(here, ask)
    # Whoever carries them out takes commands of one run for one: what counts is that all have its id.
    assert len({command.run_id for command in here.commands()[before:]}) == 1


def test_a_change_of_settings_leaves_the_others_as_they_are(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        path = f"/api/v1/companies/{OTHER}/settings"
        before = (await client.get(path)).json()
        after = (await client.patch(path, json={"autosync_users": True})).json()
        assert after == {**before, "autosync_users": True}
        assert (await client.get(path)).json() == after
        assert (await client.patch(path, json={"autosync": True})).status_code == 422

    on(here, ask)
    assert here.settings.is_chosen(OTHER)


def test_a_redrive_is_a_dry_run_unless_it_is_told_otherwise(here: Scene) -> None:
    before = len(here.records(here.topics.dead_letters))

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(f"{BASE}/dead-letters/redrive", json={})
        assert answer.json() == {"dry_run": True, "letters": 1, "left": 0, "endings": {}}

    on(here, ask)
    assert len(here.records(here.topics.dead_letters)) == before


def test_a_redrive_publishes_the_letters_of_that_company_and_no_others(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        path = f"/api/v1/companies/{OTHER}/dead-letters"
        answer = await client.post(f"{path}/redrive", json={"dry_run": False})
        assert answer.json()["endings"] == {"redriven": 1}
        here.until(lambda: len(here.live.letters()) == 2)
        assert (await client.get(path)).json()["total"] == 0

    on(here, ask)
    here.letter(OTHER, 1)
    here.until(lambda: len(here.live.letters()) == 3)


def test_a_sync_is_followed_to_its_end_and_through_a_run_that_stands_for_it(here: Scene) -> None:
    async def state(client: httpx.AsyncClient, run_id: str) -> dict[str, object]:
        found: dict[str, object] = (await client.get(f"{SYNCS}/{run_id}")).json()
        return found

    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.get(f"{SYNCS}/never")).status_code == 404
        here.run(run_id="followed", expected=2, results=[result(1, "Ada")])
        here.run(run_id="joins", phase=Phase.JOINED, joined="followed")
        here.until(lambda: here.live.own_state("joins") is not None)
        shown = await state(client, "joins")
        assert (shown["run_id"], shown["done"], shown["expected"], shown["is_over"]) == (
            "followed",
            1,
            2,
            False,
        )
        here.run(run_id="followed", expected=2, results=[result(2, "Grace")])
        here.until(lambda: (state := here.live.own_state("followed")) is not None and state.is_over)
        shown = await state(client, "followed")
        assert (shown["done"], shown["is_over"], shown["is_failed"]) == (2, True, False)
        here.run(kind=Kind.USERS, run_id="broken", phase=Phase.FAILED, reason="Procore refuses access")
        here.until(lambda: here.live.own_state("broken") is not None)
        shown = await state(client, "broken")
        assert shown["is_failed"] is True
        assert "Procore refuses access" in str(shown["text"])

    on(here, ask)


def test_each_error_is_a_problem_of_the_same_form(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for answer in (
            await client.get("/api/v1/nothing"),
            await client.get(f"{BASE}/logs?limit=0"),
            await client.get("/api/v1/companies/1/logs"),
            await client.delete(f"{BASE}/settings"),
        ):
            assert answer.headers["content-type"] == "application/problem+json"
            body = answer.json()
            assert body["status"] == answer.status_code
            assert body["detail"]
        allowed = (await client.delete(f"{BASE}/settings")).headers["allow"]
        assert {"GET", "PATCH"} <= set(allowed.split(", "))

    on(here, ask)
