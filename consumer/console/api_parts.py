"""Parts that the API's routes have in common."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from consumer.console.pages import seen_company
from consumer.console.sources import Sources


class Part(BaseModel):
    """Which part of a list is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    offset: Annotated[int, Field(ge=0, le=10**9)] = 0

    def next_offset(self, total: int) -> int | None:
        """Where the next part begins, None after the last."""
        after = self.offset + self.limit
        return after if after < total else None


def sources_of(request: Request) -> Sources:
    """What the app is made on."""
    found: Sources = request.app.state.sources
    return found


def _company(
    request: Request,
    company_id: Annotated[int, Path(ge=1, lt=10**18, description="Procore's id of the company.")],
) -> int:
    return seen_company(sources_of(request), request, company_id)


AnyPart = Annotated[Part, Query()]
SeenCompany = Annotated[int, Depends(_company)]
"""The company of the address, which the token lets see."""
From = Annotated[Sources, Depends(sources_of)]
