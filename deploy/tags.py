"""The tags of deploy.toml, for every stack and resource that is made: read within AWS's limits."""

import re
from collections.abc import Mapping

from deploy.errors import BadConfig

OWN = "sightline"  # the tag that SageMaker's resources have of ours
MOST = 49  # of a resource's fifty; https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html
LONGEST_KEY, LONGEST_VALUE = 128, 256
# What ECS, IAM and SageMaker all take; a stack's tags have no empty values. AWS's own begin with aws:.
FORM = re.compile(r"(?!aws:)[\w.:/=+@-]([\w .:/=+@-]*[\w.:/=+@-])?", re.IGNORECASE)


def read(given: object) -> dict[str, str]:
    """Raises: BadConfig."""
    if not isinstance(given, Mapping):
        raise BadConfig(f"tags = {given!r}: expected a section [tags].")
    if len(given) > MOST:
        raise BadConfig(f"[tags] has {len(given)} tags: expected no more than {MOST}, all that AWS leaves.")
    seen: dict[str, str] = {}
    for key, value in given.items():
        if not _fits(key, LONGEST_KEY):
            raise BadConfig(f"[tags] {_shown(key)}: expected {_form('a key', LONGEST_KEY)}.")
        if not _fits(value, LONGEST_VALUE):
            raise BadConfig(f"[tags] {key} = {_shown(value)}: expected {_form('a text', LONGEST_VALUE)}.")
        if key.lower() == OWN:
            raise BadConfig(f"[tags] {key}: expected another key, because Sightline's own resources have this one.")
        if (same := seen.setdefault(key.lower(), key)) != key:
            raise BadConfig(f"[tags] {key} and {same}: expected one of them, because IAM takes both for the same key.")
    return dict(given)


def _fits(text: object, longest: int) -> bool:
    return isinstance(text, str) and len(text) <= longest and bool(FORM.fullmatch(text))


def _form(what: str, longest: int) -> str:
    return f"{what} in quotes, of 1 to {longest} letters, digits, spaces inside and _.:/=+-@, not aws: in front"


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= LONGEST_VALUE else f"{repr(value)[:100]}…"


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As most of AWS's requests have them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
