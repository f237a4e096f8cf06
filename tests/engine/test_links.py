"""The links that are known: the newest decides, and what will never be committed is forgotten."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.links import Links
from consumer.model.codec import Codec
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.topics import link_key


CODEC = Codec()
COMPANY = 4281001
KEY = LinkKey(COMPANY, LinkKind.USER, "1")
FIRST = Link(COMPANY, LinkKind.USER, "1", "w1", 1, "f1")
SECOND = replace(FIRST, target_id="w2", revision=2)


def commit(links: Links, link: Link) -> None:
    links.apply(link_key(link.key), CODEC.encode(link))


def test_a_link_is_known_from_the_moment_it_is_made() -> None:
    links = Links(CODEC)
    assert links.get(KEY) is None
    links.add_pending([FIRST])
    assert links.get(KEY) == FIRST
    assert len(links) == 0, "but it is not committed"
    commit(links, FIRST)
    assert links.get(KEY) == FIRST
    assert len(links) == 1


def test_a_commit_of_an_older_link_does_not_hide_a_newer_one_that_waits_for_its_own() -> None:
    links = Links(CODEC)
    links.add_pending([FIRST])
    links.add_pending([SECOND])
    commit(links, FIRST)
    assert links.get(KEY) == SECOND
    commit(links, SECOND)
    assert links.get(KEY) == SECOND


def test_what_will_never_be_committed_uncovers_what_is() -> None:
    links = Links(CODEC)
    commit(links, FIRST)
    links.add_pending([SECOND])
    links.drop_pending([SECOND])
    assert links.get(KEY) == FIRST


def test_dropping_an_older_link_leaves_the_newer() -> None:
    links = Links(CODEC)
    links.add_pending([FIRST])
    links.add_pending([SECOND])
    links.drop_pending([FIRST])
    assert links.get(KEY) == SECOND


def test_a_deleted_link_is_not_known_any_more() -> None:
    links = Links(CODEC)
    commit(links, FIRST)
    links.apply(link_key(KEY), None)
    assert links.get(KEY) is None
    links.apply(link_key(KEY), None)
    links.apply(None, None)
    assert len(links) == 0


def test_a_worker_leads_back_to_the_user_who_is_linked_to_them_now() -> None:
    links = Links(CODEC)
    assert links.user_of_worker(COMPANY, "w1") is None
    links.add_pending([FIRST])
    assert links.user_of_worker(COMPANY, "w1") == 1
    assert links.user_of_worker(99, "w1") is None, "another company's worker may have the same id"
    commit(links, SECOND)
    links.add_pending([SECOND])
    assert links.user_of_worker(COMPANY, "w1") is None
    assert links.user_of_worker(COMPANY, "w2") == 1


def test_a_worker_whose_new_link_was_dropped_belongs_to_their_user_again() -> None:
    links = Links(CODEC)
    commit(links, FIRST)
    links.add_pending([SECOND])
    links.drop_pending([SECOND])
    assert links.user_of_worker(COMPANY, "w1") == 1
    assert links.user_of_worker(COMPANY, "w2") is None


def test_a_worker_who_has_changed_hands_is_known_of_all_whose_links_lead_to_them() -> None:
    links = Links(CODEC)
    newer = replace(FIRST, source_id="2", revision=5)
    commit(links, FIRST)
    links.add_pending([newer])
    assert links.users_of_worker(COMPANY, "w1") == [1, 2]
    assert links.user_of_worker(COMPANY, "w1") == 2, "whose link came last"
    commit(links, FIRST)
    commit(links, replace(FIRST, target_id=""))
    assert links.users_of_worker(COMPANY, "w1") == [2]
    assert links.user_of_worker(COMPANY, "w1") == 2
    assert links.users_of_worker(99, "w1") == []


def test_a_note_without_a_target_makes_nobody_anybodys_worker() -> None:
    links = Links(CODEC)
    links.add_pending([replace(FIRST, target_id="")])
    assert links.user_of_worker(COMPANY, "") is None


def test_links_of_other_kinds_make_nobody_a_user() -> None:
    links = Links(CODEC)
    links.add_pending([replace(FIRST, kind=LinkKind.CONTACT)])
    assert links.user_of_worker(COMPANY, "w1") is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["make", "commit", "drop"]), st.integers(min_value=1, max_value=3), st.integers(0, 5)
    ),
    max_size=30,
)


@given(STEPS)
def test_the_last_link_that_was_made_and_not_dropped_is_known_else_the_last_committed(
    steps: list[tuple[str, int, int]],
) -> None:
    """As the engine does it: links of a key are made in order, and committed in order or dropped together."""
    links = Links(CODEC)
    waiting: dict[int, list[Link]] = {}
    committed: dict[int, Link] = {}
    revision = 0
    for step, source, amount in steps:
        queue = waiting.setdefault(source, [])
        if step == "make":
            revision += 1
            queue.append(Link(COMPANY, LinkKind.USER, str(source), f"w{amount}", revision, "f"))
            links.add_pending(queue[-1:])
        elif step == "commit":
            for link in queue[:amount]:
                commit(links, link)
                committed[source] = link
            del queue[:amount]
        else:
            links.drop_pending(queue)
            queue.clear()
        for each, queue in waiting.items():
            newest = queue[-1] if queue else committed.get(each)
            assert links.get(LinkKey(COMPANY, LinkKind.USER, str(each))) == newest


def test_an_equal_link_of_a_later_handling_stays_when_the_earlier_one_is_dropped() -> None:
    links = Links(CODEC)
    again = replace(FIRST)
    links.add_pending([FIRST])
    links.add_pending([again])
    links.drop_pending([FIRST])
    assert links.get(KEY) is again
