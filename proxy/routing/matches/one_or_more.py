"""Options that take one value or a list of them."""

OneOrMore = str | tuple[str, ...]


def as_tuple(value: OneOrMore, what: str) -> tuple[str, ...]:
    """The values, in order; ValueError where there is none."""
    values = (value,) if isinstance(value, str) else value
    if not values:
        raise ValueError(f"an empty list of {what} matches nothing; name one, or leave the key out")
    return values


def listed(values: tuple[str, ...]) -> str:
    """The values for a sentence: `a, b or c`."""
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"
