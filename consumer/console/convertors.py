"""Parts of addresses that have one form only: whatever else stands there is no page."""

from starlette.convertors import Convertor, register_url_convertor

from consumer.model.events import Kind


class _Company(Convertor[int]):
    regex = "[1-9][0-9]{0,17}"

    def convert(self, value: str) -> int:
        """The company's id."""
        return int(value)

    def to_string(self, value: int) -> str:
        """As it is written."""
        return str(value)


class _Word(Convertor[str]):
    def convert(self, value: str) -> str:
        """The word."""
        return value

    def to_string(self, value: str) -> str:
        """The word."""
        return value


class _Kind(_Word):
    regex = "|".join(Kind)


class _Scope(_Word):
    regex = "runs|days"


def register() -> None:
    """Make them known to starlette."""
    register_url_convertor("company", _Company())
    register_url_convertor("kind", _Kind())
    register_url_convertor("scope", _Scope())
