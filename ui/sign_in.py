"""Whether a name and a password fit, at a bounded cost and rate; the pages around it are in api_sign_in.py."""

import math
import time
from collections.abc import Callable

from ui.cookies import session_of
from ui.passwords import NOBODYS, is_password
from ui.rate import Rate, TooMany, network_of
from ui.users import Users, plain_name
from ui.workers import Workers

# A person who has forgotten which password it was is not held up; a list of passwords takes months.
TRIES_OF_AN_ADDRESS = (10, 20)  # a minute, and at once
TRIES_OF_A_NAME = (2, 10)
_LONGEST_NAME = 64


class SignIn:
    def __init__(self, users: Callable[[], Users], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._users = users
        self._by_address = Rate(TRIES_OF_AN_ADDRESS[0], burst=TRIES_OF_AN_ADDRESS[1], clock=clock)
        self._by_name = Rate(TRIES_OF_A_NAME[0], burst=TRIES_OF_A_NAME[1], clock=clock)
        self._workers = Workers("sign-in", threads=2, waiting=16, deadline_s=20)  # 32 MiB each while they compare

    async def session(self, name: str, password: str, *, address: str | None) -> str | None:
        """The cookie's value, or None where name and password do not fit. Raises: TooMany, Busy, TimedOut, BadUsers."""
        name, network = plain_name(name)[:_LONGEST_NAME], network_of(address)
        _check(self._by_address.take(network), "from this address")
        _check(self._by_name.take(name), "under this name")
        users = self._users()
        user = users.users.get(name)
        fits = await self._workers.run(is_password, password, user.password if user else NOBODYS)
        if user is None or not fits:
            return None
        self._by_address.give_back(network)
        self._by_name.give_back(name)
        return session_of(users, user, time.time())

    def close(self) -> None:
        self._workers.close()


def _check(wait_s: float, where: str) -> None:
    if wait_s:
        raise TooMany(
            f"Too many wrong passwords {where}: try again in {math.ceil(wait_s)} s.", retry_after_s=math.ceil(wait_s)
        )
