"""The bundled model's table of measures as text, for any encoder; what measures is imported when it is asked for."""

from search.types import Encoder


def card_of(encoder: Encoder) -> str:
    from pocket.evaluate import as_text, evaluate

    return as_text(evaluate(encoder))
