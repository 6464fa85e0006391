"""What can go wrong between here and a hub, each in one sentence: which model, where, and what helps; asks nobody."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from search.errors import DiskFull, HubUnreachable, ModelDamaged, ModelError, ModelNotFound, ModelRefused

_OTHERWISE = "name a folder, or use the bundled model"


class Cancelled(ModelError):
    """Somebody stopped it; what came is kept."""

    code = "cancelled"

    def __init__(self, model: str) -> None:
        super().__init__(f'The download of "{model}" was stopped; the next one goes on from there.')


@contextmanager
def told(where: str, repo: str, model: str) -> Iterator[None]:
    """The library's errors, by class. `where`: the hub's host."""
    from httpx2 import HTTPError, InvalidURL
    from huggingface_hub import errors

    where = f'"{model}": "{repo}" at {where}'
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise offline("HF_HUB_OFFLINE", model) from error
    except errors.GatedRepoError as error:
        raise ModelRefused(
            f"{where} is only for people who accepted its conditions: accept them on its page, set HF_TOKEN to a token "
            "of yours, and fetch it again."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFound(f"{where} has no such revision, or has it no longer: name another as @revision.") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"{where} is not there, or is private: check the name, or set HF_TOKEN to a token that may read it."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelNotFound(f"{where} no longer has a file that it listed: fetch the model again.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ModelRefused(
                f"{where} was refused (HTTP {status}): set HF_TOKEN to a token that may read it."
            ) from error
        if status == 404:
            raise ModelNotFound(
                f"{where} is not there (HTTP 404): check the name, and HF_ENDPOINT if it is set."
            ) from error
        raise HubUnreachable(f"{where} can't be had now (HTTP {status}): try again later, or {_OTHERWISE}.") from error
    except (HTTPError, InvalidURL, errors.LocalEntryNotFoundError, errors.FileMetadataError) as error:
        raise HubUnreachable(
            f"{where} can't be reached: check the network (a proxy goes into HTTPS_PROXY, a mirror into HF_ENDPOINT), "
            f"then fetch again, which goes on where it stopped; or {_OTHERWISE}."
        ) from error
    except errors.HFValidationError as error:
        raise ModelNotFound(f"{where} is no name that a hub could have: check it.") from error


@contextmanager
def disk_told(model: str) -> Iterator[None]:
    """What the disk of the cache refuses."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f'The disk of the hub\'s cache is full while "{model}" is fetched: free some, then fetch again, which '
                "goes on where it stopped; or set HF_HUB_CACHE to a folder on another disk."
            ) from error
        raise ModelError(
            f"\"{model}\" can't be kept in the hub's cache ({error.strerror or 'an error of the disk'}): make it "
            "writable, or set HF_HUB_CACHE to a folder that is."
        ) from error


def offline(variable: str, model: str) -> HubUnreachable:
    return HubUnreachable(
        f'"{model}" is not here, and {variable} forbids looking for it on a network: unset it, or {_OTHERWISE}.'
    )


def no_hub(where: str, repo: str, model: str) -> HubUnreachable:
    return HubUnreachable(
        f'{where} does not answer as a hub of models does when asked for "{repo}", which "{model}" needs: check '
        "the network (is there a page to sign in to?) and HF_ENDPOINT."
    )


def too_slow(where: str, repo: str, model: str, within_s: float) -> HubUnreachable:
    return HubUnreachable(
        f'{where} did not answer within {within_s:g} seconds when asked for "{repo}", which "{model}" needs: try '
        f"again later, or {_OTHERWISE}."
    )


def too_large(path: str, size_bytes: int, most_bytes: int, model: str) -> ModelDamaged:
    return ModelDamaged(
        f'The file {path} of "{model}" has {size_bytes / 1e6:,.1f} MB, and at most '
        f"{most_bytes / 1e6:,.0f} MB of such a file are read here; is it another kind of model?"
    )


def another_file(path: str, model: str, where: str, *, size_bytes: int, said_bytes: int) -> ModelDamaged:
    what = "another hash" if size_bytes == said_bytes else f"{size_bytes:,} bytes, another size"
    return ModelDamaged(
        f'The file {path} of "{model}" from {where} has {what} than the hub said; it was deleted: fetch the model '
        "again, and if that does not help, look at what stands between here and there."
    )
