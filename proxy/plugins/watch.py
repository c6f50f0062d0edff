"""Which plug-in is at work in this process right now: for whoever has to say why it stands still."""


class Watch:
    """`at_work` is the name of the plug-in whose synchronous hook runs, None while none does; `calls` counts them."""

    __slots__ = ("at_work", "calls")

    def __init__(self) -> None:
        self.at_work: str | None = None
        self.calls = 0


WATCH = Watch()
