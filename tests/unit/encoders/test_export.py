"""Why an export failed is one sentence, fit to be told to everybody."""

import pytest

from search.encoders.export import _reason


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (0, "a warning", None),
        (1, "", "no reason was given"),
        (-9, "", "The export was ended by signal 9, as happens where memory runs out."),
        (1, "Traceback …\nsearch.errors.ModelError: It has no tokenizer.json.\n", "It has no tokenizer.json."),
        (
            1,
            "OSError: [Errno 28] No space left on device: '/home/me/data/models/.export-1/model.onnx'",
            "OSError: [Errno 28] No space left on device: 'model.onnx'",
        ),
        (1, "OSError: see https://host/a/b of owner/name/file", "OSError: see https://host/a/b of owner/name/file"),
    ],
    ids=["none", "nothing", "killed", "ours", "path", "address"],
)
def test_the_reason_is_the_last_line_without_this_machines_folders(status: int, said: str, reason: str | None) -> None:
    assert _reason(status, said) == reason
