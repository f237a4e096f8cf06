"""Options that several commands have."""

from typing import Annotated

import typer


Company = Annotated[
    int | None, typer.Option("--company", help="Procore's company id; may be left out if there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
