"""Rows for a person: a table on a terminal, aligned lines elsewhere; what comes from outside is escaped."""

import json
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.sink.layout import visible


def print_rows(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their head on standard output; None is shown as ``-``."""
    texts = [["-" if value is None else visible(str(value)) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(head, *texts, strict=True)]
    console = Console()
    # What a table would cut, ids above all, is to be copied into other commands.
    if console.is_terminal and sum(widths) + 3 * len(widths) <= console.width:
        table = Table(*head, box=SIMPLE_HEAD)
        for texts_of_row in texts:
            table.add_row(*map(Text, texts_of_row))
        console.print(table)
        return
    for row in (head, *texts):
        cells = (text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_json(document: object) -> None:
    """Print a document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")
