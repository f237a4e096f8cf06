"""Small charts: the points and lengths of their SVG. Pure."""

from collections.abc import Sequence


WIDTH, HEIGHT = 240, 40
_EDGE = 2


def sparkline(values: Sequence[float], most: int) -> str:
    """The points of a line through the values, the newest at the right end, where ``most`` fill the width.

    A value of 0 is at the bottom; the largest is at the top, which stands for 1 at least.
    """
    top = max(1.0, *values) if values else 1.0
    step = (WIDTH - 2 * _EDGE) / max(1, most - 1)
    first = WIDTH - _EDGE - step * (len(values) - 1)
    height = HEIGHT - 2 * _EDGE
    return " ".join(
        f"{first + step * index:.1f},{HEIGHT - _EDGE - height * value / top:.1f}"
        for index, value in enumerate(values)
    )


def bar(value: float, most: float) -> float:
    """The length of a bar, as a part of 100; what is there at all is seen."""
    return 0.0 if value <= 0 or most <= 0 else round(max(1.0, 100 * min(value, most) / most), 1)
