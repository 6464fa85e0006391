import pytest

from search import errors
from ui.api_errors import STATUS, BodyTooLarge, BodyTooSlow, NotJson, NotReady, Stopping, UnsupportedType, status_of


def known_errors() -> list[type[errors.SearchError]]:
    everything = [*vars(errors).values(), NotJson, BodyTooLarge, BodyTooSlow, UnsupportedType, NotReady, Stopping]
    return [kind for kind in everything if isinstance(kind, type) and issubclass(kind, errors.SearchError)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotJson, 400),
        (errors.NotSignedIn, 401),
        (errors.NotAllowed, 403),
        (errors.ReadOnly, 403),
        (errors.ModelRefused, 403),
        (errors.CollectionNotFound, 404),
        (errors.ItemNotFound, 404),
        (errors.JobNotFound, 404),
        (errors.ModelNotFound, 404),
        (BodyTooSlow, 408),
        (errors.EncoderMismatch, 409),
        (errors.CollectionExists, 409),
        (errors.ModelNotDownloaded, 409),
        (BodyTooLarge, 413),
        (UnsupportedType, 415),
        (errors.QueryTooLong, 422),
        (errors.ImageTooLarge, 422),
        (errors.SourceError, 422),
        (errors.Busy, 429),
        (NotReady, 503),
        (Stopping, 503),
        (errors.StoreUnavailable, 503),
        (errors.ModelDamaged, 503),
        (errors.HubUnreachable, 503),
        (errors.TimedOut, 504),
        (errors.DiskFull, 507),
    ],
)
def test_an_error_has_the_status_of_the_contract(error: type[errors.SearchError], status: int) -> None:
    assert status_of(error("why")) == status


@pytest.mark.parametrize("error", [kind for kind in known_errors() if kind is not errors.SearchError])
def test_every_error_has_a_status_from_its_own_family(error: type[errors.SearchError]) -> None:
    assert any(kind in STATUS for kind in error.__mro__ if kind is not errors.SearchError)


def test_codes_are_unique() -> None:
    codes = [error.code for error in known_errors()]
    assert len(codes) == len(set(codes))
