"""What is said of an arm's results: in order or not, one each or not."""

from tests.benchmarks.check import Seen, fall, repeated, verdict


def seen(*offsets: int, user: str = "7") -> list[Seen]:
    return [Seen(0, offset, user, 1) for offset in offsets]


def test_results_in_order_with_one_each_are_fine() -> None:
    found = verdict(seen(0, 1, 2), [(1, 7, 0), (1, 7, 1), (1, 7, 2)], expected=3)
    assert (found.ordered, found.once) == (True, True)


def test_results_of_one_user_out_of_order_are_seen() -> None:
    assert verdict(seen(0, 2, 1), [], expected=3).disorder == "result 2: user 7, 1 after 2"


def test_calls_for_one_user_out_of_order_are_seen() -> None:
    assert not verdict(seen(0, 1), [(1, 7, 1), (1, 7, 0)], expected=2).ordered


def test_different_users_have_no_order() -> None:
    assert verdict([*seen(5, user="7"), *seen(3, user="8")], [(1, 7, 5), (1, 8, 3)], expected=2).ordered


def test_a_second_result_and_a_missing_one_are_counted() -> None:
    found = verdict(seen(0, 1, 1), [], expected=4)
    assert (found.doubled, found.lost, found.once) == (1, 2, False)


def test_a_call_that_is_repeated_at_once_is_no_disorder() -> None:
    assert not fall("call", [("a", 1), ("a", 1), ("a", 2)])


def test_events_that_were_handled_again_are_counted_once() -> None:
    assert repeated([(1, 7, 0), (1, 7, 0), (1, 7, 0), (1, 8, 0)]) == 1
