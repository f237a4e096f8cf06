"""Tables as plain text for the terminal, or as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the columns' names and the rows. The first ``left`` columns hold words, the others numbers."""

    title: str
    names: Row
    rows: Sequence[Row]
    left: int = 1

    def as_text(self) -> str:
        """Columns of equal width."""
        widths = [max(map(len, column)) for column in zip(self.names, *self.rows, strict=True)]
        lines = [self._line(row, widths) for row in (self.names, *self.rows)]
        return "\n".join((self.title, "-" * len(self.title), *lines, ""))

    def as_markdown(self) -> str:
        """A Markdown table under a heading."""
        rule = ["---" if column < self.left else "---:" for column in range(len(self.names))]
        lines = [f"| {' | '.join(row)} |" for row in (self.names, rule, *self.rows)]
        return "\n".join((f"### {self.title}", "", *lines, ""))

    def _line(self, row: Row, widths: Sequence[int]) -> str:
        cells = (
            text.ljust(width) if column < self.left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()


def rate(per_s: float | None) -> str:
    """Events per second."""
    if per_s is None:
        return "DNF"
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def ratio(value: float | None) -> str:
    """A ratio with about three digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Seconds, to a thousandth."""
    return "-" if value is None else f"{value:.3f}"


def yes(value: bool | None) -> str:
    """Yes, no, or unknown."""
    return "-" if value is None else "yes" if value else "NO"
