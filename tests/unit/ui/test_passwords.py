import pytest

from ui.passwords import NOBODYS, BadPassword, hash_of, is_hash, is_password

PASSWORD = "correct horse battery"


def test_only_the_password_itself_fits_its_hash() -> None:
    kept = hash_of(PASSWORD)
    assert is_hash(kept)
    assert PASSWORD not in kept
    assert is_password(PASSWORD, kept)
    assert not is_password(PASSWORD.upper(), kept)
    assert not is_password("", kept)


def test_two_hashes_of_one_password_differ_and_name_their_cost() -> None:
    one, other = hash_of(PASSWORD), hash_of(PASSWORD)
    assert one != other
    assert one.startswith("scrypt$32768$8$3$")


def test_an_accented_letter_is_one_letter_however_a_keyboard_says_it() -> None:
    assert is_password("cafe\u0301 cafe\u0301 noir", hash_of("caf\u00e9 caf\u00e9 noir"))


@pytest.mark.parametrize("password", ["", "nine char", "x" * 201])
def test_a_password_that_is_too_short_or_long_is_refused(password: str) -> None:
    with pytest.raises(BadPassword, match="10 to 200"):
        hash_of(password)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "secret",
        NOBODYS.replace("32768", "1048576"),
        NOBODYS.replace("32768", "3"),
        NOBODYS.replace("$8$", "$0$"),
        NOBODYS.replace("$8$3$", "$99$3$"),
        NOBODYS + "\n",
    ],
    ids=["empty", "plain", "costly", "no-power", "no-block", "large-block", "line"],
)
def test_what_is_no_hash_or_costs_too_much_fits_nothing(kept: str) -> None:
    assert not is_hash(kept)
    assert not is_password(kept, kept)


def test_nobodys_hash_is_one_and_fits_nothing() -> None:
    assert is_hash(NOBODYS)
    assert not is_password(PASSWORD, NOBODYS)
