"""Items embedded elsewhere, taken into a collection of this data folder; reads no part and no output itself."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from shlex import quote

import typer

from search.encoders.names import parse_name
from search.errors import CollectionNotFound, EncoderMismatch, ModelNotFound
from search.shipped_item import ShippedItem, as_item
from search.types import Collection, Condition, Library, Record
from ui.terminal import live_line, plain

_AT_ONCE = 200  # items of one acknowledgement
_NAMED = 20  # odd ones of one place


@dataclass(frozen=True, slots=True)
class Odd:
    """What does not come in, and why."""

    name: str
    reason: str


def say(odd: Odd) -> None:
    typer.echo(f"{plain(odd.name)} was left out: {plain(odd.reason)}", err=True)


def open_target(library: Library, name: str, *, model: str, fingerprint: str, dim: int) -> Collection:
    """Made where it is not there yet; whatever its model is. Raises: ModelNotFound for one that could not search."""
    try:
        return library.open(name)
    except CollectionNotFound:
        library.check_new(name)
        _check_name(model, name)
        return library.create(name, model=model, fingerprint=fingerprint, dim=dim)


def _check_name(model: str, collection: str) -> None:
    """A folder goes by its own name elsewhere, which names nothing here."""
    try:
        parse_name(model)
    except ModelNotFound as error:
        raise ModelNotFound(
            f'What comes in was embedded by a model in a folder "{plain(model)}", and where that is on this machine is '
            "not known. Make the collection for it first, "
            f"`python app.py collections create {quote(collection)} --model FOLDER`, and import again."
        ) from error


def check_model(target: Collection, fingerprint: str) -> None:
    if target.info.fingerprint != fingerprint:
        raise EncoderMismatch(
            f'"{plain(target.info.name)}" is for the model {plain(target.info.model)}, and this is of another one.'
        )


def take_in(where: str, items: Iterable[ShippedItem | Odd], target_of: Callable[[ShippedItem], Collection]) -> int:
    """How many odd ones there are; the first are named. `target_of`: where such an item belongs.

    Raises: what `items` and the collection raise; what was acknowledged before stays.
    """
    now, count, odd_count = datetime.now(UTC).isoformat(timespec="seconds"), 0, 0
    waiting = iter(items)
    with live_line() as show:
        while batch := list(islice(waiting, _AT_ONCE)):
            odd = [one for one in batch if isinstance(one, Odd)]
            whole = [one for one in batch if isinstance(one, ShippedItem)]
            if whole:
                odd += _put(target_of(whole[0]), whole, now)
            show("")
            for one in odd[: max(0, _NAMED - odd_count)]:
                say(one)
            count, odd_count = count + len(batch), odd_count + len(odd)
            show(f"{plain(where)}: {count:,} images")
    if odd_count > _NAMED:
        typer.echo(f"and {odd_count - _NAMED:,} more.", err=True)
    return odd_count


def _put(target: Collection, items: Sequence[ShippedItem], now: str) -> list[Odd]:
    """Under the id that a uri has already; what is unchanged is left. Returns those of another model."""
    odd, new = list[Odd](), []
    known = _known(target, [item.record.uri for item in items])
    for item in items:
        before = known.get(item.record.uri)
        if (item.fingerprint, len(item.embedding)) != (target.info.fingerprint, target.info.dim):
            odd.append(Odd(item.record.uri, f"It was embedded by another model than the others ({item.model})."))
        elif before is None:
            new.append(as_item(item, secrets.token_hex(8), added_at=now))
        elif before.content_hash != item.record.content_hash:
            new.append(as_item(item, before.id, added_at=before.added_at))
    if new:
        target.put(new)
    return odd


def _known(target: Collection, uris: Sequence[str]) -> dict[str, Record]:
    found = target.page(offset=0, count=len(uris), where=(Condition("uri", "in", tuple(uris)),))
    return {record.uri: record for record in found}
