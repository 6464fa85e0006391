"""The smoke test: golden queries to what runs, their answers compared; a table of what was found."""

import os
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import asking, golden
from deploy.asking import Asker
from deploy.errors import Refused, SmokeFailed
from deploy.golden import Golden, GoldenQuery
from deploy.sections import Config

COMPARED = 5  # hits of each query
ALIKE = 1e-3  # scores nearer than this may change places from one processor to another
TEXT = "a picture"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    took_ms: float
    wrong: str = ""  # what is; "" where nothing is


def token() -> str:
    """DEPLOY_TOKEN, "" without one. Raises: Refused, where it can't be sent; it is not repeated."""
    given = os.environ.get("DEPLOY_TOKEN", "").strip()
    if not re.fullmatch(r"[\x21-\x7e]*", given):
        raise Refused("DEPLOY_TOKEN is no token: expected one line of letters and digits, as `token add` printed it.")
    return given


def before(config: Config, target: str) -> None:
    """What would fail a smoke test after everything is deployed is found before. Raises: BadConfig, Refused."""
    golden.before(config.deploy)
    if target == "ecs" and config.ecs and config.ecs.users_secret_arn and not token():
        raise Refused(
            "Sign-in is on ([ecs] users_secret_arn), and the smoke test at the end has no token: set DEPLOY_TOKEN to"
            " one of `token add NAME --role viewer`."
        )


def run(
    config: Config, target: str, aws: Callable[[str], Any], say: Callable[[str], None], address: str = "", at: str = ""
) -> None:
    """`address`, or an endpoint's name `at`: in place of the target's own. Raises: SmokeFailed, BadConfig, Refused."""
    path = Path(config.deploy.golden)
    expected = golden.read(path)
    checks = ask_all(asker_of(config, target, aws, address, at), expected)
    for line in table(checks):
        say(line)
    if expected is None:
        say(f"There is no {path}: ids and model were not compared. `python -m deploy golden ADDRESS` makes one.")
    if wrong := [check for check in checks if check.wrong]:
        more = f" ({len(wrong)} of {len(checks)} checks failed.)" if len(wrong) > 1 else ""
        raise SmokeFailed(f"The smoke test failed: {wrong[0].name}: {wrong[0].wrong}{more}")


def asker_of(config: Config, target: str, aws: Callable[[str], Any], address: str, at: str) -> Asker:
    if address:
        return asking.over_http(address, token=token())
    if target == "sagemaker":
        return asking.of_endpoint(at or config.deploy.name, aws)
    if target == "ecs" and config.ecs is not None:
        return asking.over_http(f"https://{config.ecs.domain}", token=token())
    raise Refused("A Space is uploaded by hand, so its address is not known here: add --address https://….hf.space.")


def ask_all(ask: Asker, expected: Golden | None) -> list[Check]:
    """Raises: SmokeFailed, where nothing can be asked."""
    ask({"query": TEXT, "top_k": 1})  # the first is slow, and no measure
    embedded = ask({"embed": {"texts": [TEXT]}})
    fingerprint = str(embedded.body.get("fingerprint"))
    dim = len(embedded.body["embeddings"]["texts"][0])
    if expected is None:
        queries = (
            GoldenQuery(TEXT, TEXT, (), (), golden.WITHIN_MS),
            GoldenQuery("a drawn picture", golden.picture(drawn()), (), (), golden.WITHIN_MS),
        )
        return [Check("embedding", embedded.took_ms), *(_query(ask, query, fingerprint) for query in queries)]
    wrong = ""
    if fingerprint != expected.fingerprint:
        wrong = f"the model is {fingerprint[:12]}, and {expected.fingerprint[:12]} was expected"
    elif dim != expected.dim:
        wrong = f"the dimension is {dim}, and {expected.dim} was expected"
    found = [_query(ask, query, expected.fingerprint) for query in expected.queries]
    return [Check("embedding", embedded.took_ms, wrong), *found]


def _query(ask: Asker, query: GoldenQuery, fingerprint: str) -> Check:
    try:
        said = ask({"query": query.query, "top_k": golden.KEPT_HITS})
        if said.took_ms > query.within_ms:
            said = ask({"query": query.query, "top_k": golden.KEPT_HITS})  # once may be chance
    except SmokeFailed as error:
        return Check(query.name, 0.0, str(error))
    return Check(query.name, said.took_ms, _wrong(said, query, fingerprint))


def _wrong(said: asking.Said, query: GoldenQuery, fingerprint: str) -> str:
    hits = [str(hit.get("id")) for hit in said.body.get("hits", [])]
    if said.body.get("fingerprint") != fingerprint:
        return f"another model answered ({str(said.body.get('fingerprint'))[:12]})"
    if not hits:
        return "nothing was found"
    if query.ids:
        scores = dict(zip(query.ids, query.scores, strict=True))
        for rank, (id, score) in enumerate(zip(hits, query.scores, strict=False), 1):
            if rank <= COMPARED and abs(scores.get(id, -2.0) - score) > ALIKE:
                return f"hit {rank} is {id}, and {query.ids[rank - 1]} was expected"
        if len(hits) < len(query.ids):
            return f"{len(hits)} hits came, and {len(query.ids)} were expected"
    if said.took_ms > query.within_ms:
        return f"it took {said.took_ms:,.0f} ms twice, and {query.within_ms:,.0f} are allowed"
    return ""


def table(checks: list[Check]) -> list[str]:
    wide = max(len(check.name) for check in checks)
    return [f"{check.name:<{wide}}  {check.took_ms:>8,.0f} ms  {check.wrong or 'as it should be'}" for check in checks]


def drawn() -> bytes:
    """A PNG of 64 × 64 px, a blue sky over green, made here: no library for pictures is needed to send one."""
    rows = b"".join(b"\0" + (b"\x60\xa0\xf0" if y < 32 else b"\x30\x90\x40") * 64 for y in range(64))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
