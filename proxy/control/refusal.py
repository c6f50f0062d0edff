"""Why a verb was not carried out, as whoever asked is told."""


class Refusal(Exception):  # noqa: N818 - an answer, which happens to end a verb
    """Nothing was changed. `status` is the HTTP status that fits, `problems` says more, one sentence each."""

    def __init__(self, status: int, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = problems


def unknown(kind: str, name: str, there: object) -> Refusal:
    """404: there is no such service, pool or endpoint; what there is instead."""
    names = ", ".join(map(str, there)) if isinstance(there, list | tuple | dict) else ""
    return Refusal(404, f"there is no {kind} {name!r}{f'; there is {names}' if names else ''}")
