import pytest

from ui.rate import Rate, network_of


def test_a_caller_has_its_burst_and_then_its_rate() -> None:
    now = 0.0
    rate = Rate(60, burst=2, clock=lambda: now)
    assert [rate.take("ada"), rate.take("ada"), rate.take("ada")] == [0, 0, 1]
    assert rate.take("bob") == 0
    now = 0.5
    assert rate.take("ada") == 0.5
    now = 1.0
    assert rate.take("ada") == 0
    now = 100.0
    assert [rate.take("ada"), rate.take("ada"), rate.take("ada")] == [0, 0, 1]


def test_what_is_given_back_can_be_taken_again() -> None:
    rate = Rate(60, burst=1, clock=lambda: 0.0)
    assert rate.take("ada") == 0
    rate.give_back("ada")
    rate.give_back("ada")
    assert [rate.take("ada"), rate.take("ada")] == [0, 1]


def test_only_so_many_callers_are_remembered() -> None:
    rate = Rate(60, burst=1, most_callers=2, clock=lambda: 0.0)
    for caller in ("one", "two", "one", "three"):
        rate.take(caller)
    assert [rate.take("one"), rate.take("three")] == [1, 1]
    assert rate.take("two") == 0  # was forgotten


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (None, "nobody"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_ipv6_stands_for_its_network(address: str | None, network: str) -> None:
    assert network_of(address) == network
