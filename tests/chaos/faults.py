"""How the upstreams of a chaos run fail, by the mode that the driver sets."""

from collections.abc import Mapping


KINDS = (
    "status=500",
    "status=503; after-effect",
    "status=429; retry-after=1",
    "reset",
    "reset-after",
    "timeout-after-effect=0.05..1",
)
"""A reset after the effect is what a time-out is to the caller: the effect is there, the answer is not."""

_RULES: Mapping[str, str] = {
    "mixed": f"[[rules]]\nprobability = 0.3\nfault = {list(KINDS)}\n",
    "none": "",
    "denied": '[[rules]]\nfault = "status=401"\n',
    "down": '[[rules]]\nfault = "status=503"\n',
}


def rules(mode: str, seed: int) -> str:
    """The sandbox's file of faults for a mode: mixed, none, or denied and down for an outage."""
    return f"seed = {seed}\n{_RULES[mode]}"
