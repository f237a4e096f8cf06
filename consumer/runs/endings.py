"""Why a run cannot go on, in words for an office."""

from consumer.engine.process import name_of
from consumer.exceptions import Misconfigured, UpstreamError


def failure_words(error: UpstreamError) -> str:
    """A sentence, with the upstream's own words if it gave any."""
    system = name_of(error.upstream)
    what = (
        f"{system} refuses access to this company"
        if isinstance(error, Misconfigured)
        else (f"{system} did not give what was asked for")
    )
    words = "; ".join(error.words)
    return f'{what}: "{words}"' if words else what
