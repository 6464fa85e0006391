"""`make bench`: measures, prints one Markdown table and appends it to docs/figures.md. Nothing here is a test."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Figure, as_table
from bench.indexing import measure_indexing
from bench.load import measure_load
from bench.models import measure_models
from bench.page import measure_page
from bench.scale import measure_scale
from bench.server import ROOT
from bench.serving import measure_gallery, measure_while_indexing

MEASURES = {
    "gallery": measure_gallery,
    "page": measure_page,
    "indexing": measure_indexing,
    "busy": measure_while_indexing,
    "scale": measure_scale,
    "models": measure_models,
}


def main() -> None:
    if sys.argv[1:2] == ["load"]:
        measure_load(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="`python -m bench load` measures many clients at once."
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="what to measure")
    parser.add_argument("--dry", action="store_true", help="print the table and leave docs/figures.md alone")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            print(f"measuring {name} …", flush=True)
            figures += MEASURES[name](Path(folder))
    table = as_table(figures, date=datetime.now(UTC).date().isoformat())
    print(table)
    if not arguments.dry:
        with (ROOT / "docs" / "figures.md").open("a", encoding="utf-8") as page:
            page.write(f"\n{table}")


if __name__ == "__main__":
    main()
