"""What is kept of a request's body so that it can be sent, or sent again."""


class HeldBody:
    """The pieces of a body that came so far, as long as all of them are here.

    Before a piece has been sent it must be held; after that it is worth holding only up to `limit` bytes in all, for a
    retry. Once a piece has been let go, `lost` is true and the request can't be repeated.
    """

    __slots__ = ("_pieces", "_size", "lost")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.lost = False

    def add(self, piece: bytes) -> None:
        """Hold another piece."""
        if not self.lost:
            self._pieces.append(piece)
            self._size += len(piece)

    def whole(self) -> bytes:
        """Everything that came so far; the pieces become one."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def sent(self, limit: int) -> None:
        """All that is held is on its way: let it go if it is more than is worth holding."""
        if self._size > limit:
            self._pieces.clear()
            self.lost = True
