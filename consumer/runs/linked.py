"""Which links there are, chosen and in order, for whoever looks at them."""

from collections.abc import Collection, Iterator, Sequence

from consumer.engine.links import Links
from consumer.model.links import Link, LinkKey, LinkKind


def linked(
    links: Links,
    *,
    company_id: int | None = None,
    kinds: Collection[LinkKind] = (),
    source_id: str | None = None,
) -> Sequence[LinkKey]:
    """The keys of the links of a company, of some kinds and from one source id, or of all.

    In the order of company, kind and id, numbers before texts and by their size.
    """
    order = {kind: place for place, kind in enumerate(LinkKind)}

    def place(key: LinkKey) -> tuple[int, int, bool, int, str]:
        is_text = not (key.source_id.isascii() and key.source_id.isdigit())
        size = 0 if is_text else len(key.source_id)
        return key.company_id, order[key.kind], is_text, size, key.source_id

    return sorted(
        (
            key
            for key in links.keys()  # noqa: SIM118 - no mapping
            if company_id in {None, key.company_id}
            and (not kinds or key.kind in kinds)
            and source_id in {None, key.source_id}
        ),
        key=place,
    )


def read(links: Links, keys: Sequence[LinkKey]) -> Iterator[Link]:
    """The links of these keys; those that this version of the program cannot read are passed over."""
    return (link for link in map(links.get, keys) if link is not None)
