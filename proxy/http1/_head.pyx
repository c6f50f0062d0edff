# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=False
# boundscheck and wraparound concern Python sequences; there are none here, only pointers, whose bounds are argued below.
"""Message heads from bytes: the accelerator. It reads ordinary heads in one pass and leaves all others to the reference.

Ordinary is what is certainly good and needs no thought. Everything else (whatever is wrong, incomplete or rare: a target in
another form, two cookie lines, an upgrade, a list in Connection) goes to proxy/http1/head.py, which has the last word and
makes every error. So the accelerator cannot refuse, and must only never take what the reference would not take just so; a
property test holds it to that.

Why no pointer leaves the data: `data` is a bytes object, whose buffer has a NUL after its last byte. Each scan by table
stops at a byte that the table does not name; NUL is in none of them, so it stops at data[n] at the latest. Everything else
compares its index with n first.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from proxy.http1 import head as reference
from proxy.http1 import message
from proxy.http1.message cimport RequestHead, ResponseHead

ctypedef const unsigned char* Text

cdef enum:
    MOST_SPANS = 32  # pieces that the kept lines are in; more is not ordinary
    MOST_FORWARDED = 16

cdef enum Code:
    KEEP, HOST, COOKIE, DROP, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, FORWARDED, EXPECT, VIA, TRACEPARENT
    TRACESTATE, CACHE_CONTROL, RARE

cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end

cdef struct Scan:
    Py_ssize_t size
    long long length
    int flags
    bint tracestate
    Span host
    Span cookie
    int spans
    Span kept[MOST_SPANS]
    int forwarded
    Span names[MOST_FORWARDED]
    Span values[MOST_FORWARDED]

cdef long long NO_BODY = message.NO_BODY
cdef long long CHUNKED = message.CHUNKED
cdef int F_CLOSE = message.CLOSE
cdef int F_KEEP_ALIVE = message.KEEP_ALIVE
cdef int F_EXPECT_CONTINUE = message.EXPECT_CONTINUE
cdef int F_TRACEPARENT = message.TRACEPARENT
cdef int F_VIA = message.VIA
cdef int F_CACHE_CONTROL = message.CACHE_CONTROL

# Tables over all bytes; 0 means that the byte is not one of them.
cdef unsigned char NAME[256]    # tchar of RFC 9110 §5.6.2: the lower-case byte
cdef unsigned char TARGET[256]  # what a request target may hold
cdef unsigned char HOSTS[256]   # what a name in Host may hold
cdef unsigned char HEX[256]     # lower-case hexadecimal digits

cdef void fill_tables():
    cdef int byte
    for byte in range(256):
        NAME[byte] = TARGET[byte] = HOSTS[byte] = HEX[byte] = 0
    for byte in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz":
        NAME[byte] = byte
    for byte in range(c"A", c"Z" + 1):
        NAME[byte] = byte + 32
    for byte in range(33, 127):
        TARGET[byte] = byte != c"#" and byte != c"\\"
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~!$&'()*+;=":
        HOSTS[byte] = 1
    for byte in b"0123456789abcdef":
        HEX[byte] = 1

fill_tables()

cdef object plain_request = reference.parse_request_head
cdef object plain_response = reference.parse_response_head


cdef inline bint same(Text text, const char* lower, Py_ssize_t size) noexcept nogil:
    """Whether `size` tchars are this lower-case text but for their case."""
    cdef Py_ssize_t i
    for i in range(size):
        if NAME[text[i]] != <unsigned char>lower[i]:
            return False
    return True


cdef inline bint is_value(Text data, Span value, const char* lower, Py_ssize_t size) noexcept nogil:
    return value.end - value.start == size and same(data + value.start, lower, size)


cdef Code shared_code(Text name, Py_ssize_t size) noexcept nogil:
    """What a name means in either direction."""
    cdef unsigned char first = NAME[name[0]]
    if first == c"c":
        if size == 10 and same(name, b"connection", 10):
            return CONNECTION
        if size == 14 and same(name, b"content-length", 14):
            return CONTENT_LENGTH
    elif first == c"k":
        if size == 10 and same(name, b"keep-alive", 10):
            return DROP
    elif first == c"t":
        if size == 2 and same(name, b"te", 2):
            return RARE
        if size == 7 and same(name, b"trailer", 7):
            return DROP
        if size == 17 and same(name, b"transfer-encoding", 17):
            return TRANSFER_ENCODING
    elif first == c"p":
        if size >= 6 and same(name, b"proxy-", 6):
            return DROP
    elif first == c"u":
        if size == 7 and same(name, b"upgrade", 7):
            return RARE
    elif first == c"v":
        if size == 3 and same(name, b"via", 3):
            return VIA
    elif first == c"h":
        if size == 14 and same(name, b"http2-settings", 14):
            return DROP
    return KEEP


cdef Code request_code(Text name, Py_ssize_t size) noexcept nogil:
    cdef unsigned char first = NAME[name[0]]
    if first == c"h":
        if size == 4 and same(name, b"host", 4):
            return HOST
    elif first == c"c":
        if size == 6 and same(name, b"cookie", 6):
            return COOKIE
    elif first == c"x":
        if size == 12 and same(name, b"x-request-id", 12) or size == 9 and same(name, b"x-real-ip", 9):
            return FORWARDED
        if size == 15 and same(name, b"x-sluice-shadow", 15):
            return FORWARDED
        if size >= 11 and same(name, b"x-forwarded", 11) and (size == 11 or name[11] == c"-"):
            return FORWARDED
        if size >= 8 and same(name, b"x-envoy-", 8):
            return FORWARDED
        return KEEP
    elif first == c"f":
        if size == 9 and same(name, b"forwarded", 9):
            return FORWARDED
    elif first == c"e":
        if size == 6 and same(name, b"expect", 6):
            return EXPECT
    elif first == c"p":
        if size == 5 and same(name, b"proxy", 5):
            return DROP
    elif first == c"t":
        if size == 11 and same(name, b"traceparent", 11):
            return TRACEPARENT
        if size == 10 and same(name, b"tracestate", 10):
            return TRACESTATE
    return shared_code(name, size)


cdef Code response_code(Text name, Py_ssize_t size) noexcept nogil:
    if size == 13 and same(name, b"cache-control", 13):
        return CACHE_CONTROL
    return shared_code(name, size)


cdef inline Span stripped(Text data, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Span span
    while start < end and (data[start] == c" " or data[start] == c"\t"):
        start += 1
    while end > start and (data[end - 1] == c" " or data[end - 1] == c"\t"):
        end -= 1
    span.start = start
    span.end = end
    return span


cdef bint is_host(Text data, Span host) noexcept nogil:
    """Whether this is a name or IPv4 address with an optional port; an IPv6 address is the reference's business."""
    cdef Py_ssize_t at = host.start
    cdef int port = 0
    while at < host.end and HOSTS[data[at]]:
        at += 1
    if at == host.start:
        return False
    if at == host.end:
        return True
    if data[at] != c":" or host.end - at > 6:
        return False
    at += 1
    while at < host.end:
        if data[at] < c"0" or data[at] > c"9":
            return False
        port = port * 10 + data[at] - c"0"  # at most five digits
        at += 1
    return port <= 65535


cdef long long number(Text data, Span value) noexcept nogil:
    """The number that 1 to 18 digits are (below 2**63), else -1."""
    cdef Py_ssize_t at
    cdef long long total = 0
    if value.end == value.start or value.end - value.start > 18:
        return -1
    for at in range(value.start, value.end):
        if data[at] < c"0" or data[at] > c"9":
            return -1
        total = total * 10 + (data[at] - c"0")
    return total


cdef bint is_traceparent(Text data, Span value) noexcept nogil:
    """W3C Trace Context §3.2: 2, 32, 16 and 2 digits, not version ff, neither trace nor parent all zero."""
    cdef Text text = data + value.start
    cdef Py_ssize_t at
    cdef bint trace = False, parent = False
    if value.end - value.start != 55 or text[2] != c"-" or text[35] != c"-" or text[52] != c"-":
        return False
    for at in range(55):
        if at == 2 or at == 35 or at == 52:
            continue
        if not HEX[text[at]]:
            return False
        if text[at] != c"0":
            trace |= 2 < at < 35
            parent |= 35 < at < 52
    return trace and parent and not (text[0] == c"f" and text[1] == c"f")


cdef Py_ssize_t controls(Text data, Py_ssize_t size) noexcept nogil:
    """How many control characters there are, HTAB not counted."""
    cdef Py_ssize_t total = 0, at = 0, end
    cdef unsigned char some
    # Blocks whose count fits a byte, so that the compiler makes 16 comparisons at once: 0.05 µs for 900 bytes.
    while at < size:
        end = at + 128 if size - at > 128 else size
        some = 0
        while at < end:
            some += (data[at] < 32 and data[at] != 9) or data[at] == 127
            at += 1
        total += some
    return total


cdef bint keep(Scan* scan, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    if scan.spans and scan.kept[scan.spans - 1].end == start:
        scan.kept[scan.spans - 1].end = end
        return True
    if scan.spans == MOST_SPANS:
        return False
    scan.kept[scan.spans].start = start
    scan.kept[scan.spans].end = end
    scan.spans += 1
    return True


cdef bint take_special(Scan* scan, Text data, Code code, int minor, Span name, Span value) noexcept nogil:
    """Take in a field that is not just passed on; False when that is not ordinary."""
    cdef long long length
    if code == HOST:
        if scan.host.start or not is_host(data, value):
            return False
        scan.host = value
    elif code == COOKIE:
        if scan.cookie.start or value.start == value.end:
            return False
        scan.cookie = value
    elif code == CONNECTION:
        if is_value(data, value, b"keep-alive", 10):
            scan.flags |= F_KEEP_ALIVE
        elif is_value(data, value, b"close", 5):
            scan.flags |= F_CLOSE
        else:
            return False
    elif code == CONTENT_LENGTH:
        length = number(data, value)
        if length < 0 or scan.length != NO_BODY:
            return False
        scan.length = length
    elif code == TRANSFER_ENCODING:
        if not minor or scan.length != NO_BODY or not is_value(data, value, b"chunked", 7):
            return False
        scan.length = CHUNKED
    elif code == FORWARDED:
        if scan.forwarded == MOST_FORWARDED:
            return False
        scan.names[scan.forwarded] = name
        scan.values[scan.forwarded] = value
        scan.forwarded += 1
    elif code == EXPECT:
        if not minor or not is_value(data, value, b"100-continue", 12):
            return False
        scan.flags |= F_EXPECT_CONTINUE
    elif code == VIA:
        scan.flags |= F_VIA
    elif code == CACHE_CONTROL:
        scan.flags |= F_CACHE_CONTROL
    elif code == TRACEPARENT:
        if scan.flags & F_TRACEPARENT or not is_traceparent(data, value):
            return False
        scan.flags |= F_TRACEPARENT
    elif code == TRACESTATE:
        scan.tracestate = True
    elif code != DROP:
        return False
    return True


cdef bint scan_fields(
    Scan* scan, Text data, Py_ssize_t at, Py_ssize_t n, Py_ssize_t most, bint request, int minor
) noexcept nogil:
    """Read field lines from `at` to the empty line; False when the head is not ordinary."""
    cdef Py_ssize_t start, end, fields = 0
    cdef Span name, value
    cdef Text found
    cdef Code code
    cdef bint underscore
    scan.length = NO_BODY
    scan.flags = scan.spans = scan.forwarded = 0
    scan.tracestate = False
    scan.host.start = scan.host.end = scan.cookie.start = scan.cookie.end = 0  # no value stands at 0
    while data[at] != c"\r":  # at <= n: NUL ends it
        start = at
        underscore = False
        while NAME[data[at]]:
            underscore |= data[at] == c"_"
            at += 1
        if at == start or data[at] != c":":
            return False
        name.start = start
        name.end = at
        at += 1  # past the colon, so at <= n
        found = <Text>memchr(data + at, c"\r", n - at)
        if found == NULL:
            return False
        end = found - data
        if data[end + 1] != c"\n":  # end < n
            return False
        fields += 1
        if request:
            code = DROP if underscore else request_code(data + start, name.end - start)
        else:
            code = response_code(data + start, name.end - start)
        if code != KEEP:
            value = stripped(data, at, end)
            if not take_special(scan, data, code, minor, name, value):
                return False
        at = end + 2  # <= n, since data[end + 1] was LF and not the NUL at n
        if code == KEEP or code >= EXPECT:
            if not keep(scan, start, at):
                return False
    if data[at + 1] != c"\n":  # data[at] is CR, so at < n
        return False
    scan.size = at + 2
    if fields > most or (scan.tracestate and not scan.flags & F_TRACEPARENT):
        return False
    # Each line met so far ends in CR LF. If these are all the control characters, none stands anywhere else.
    return controls(data, scan.size) == 2 * (fields + 2)


cdef inline bytes cut(Text data, Span span):
    return PyBytes_FromStringAndSize(<const char*>data + span.start, span.end - span.start)


cdef bytes block_of(Scan* scan, Text data):
    """The kept lines as one new bytes object."""
    cdef Py_ssize_t total = 0, at = 0, size
    cdef int i
    for i in range(scan.spans):
        total += scan.kept[i].end - scan.kept[i].start
    cdef bytes block = PyBytes_FromStringAndSize(NULL, total)
    cdef char* into = PyBytes_AS_STRING(block)
    for i in range(scan.spans):
        size = scan.kept[i].end - scan.kept[i].start
        memcpy(into + at, data + scan.kept[i].start, size)
        at += size
    return block


cdef dict forwarded_of(Scan* scan, Text data):
    cdef dict told = {}
    cdef bytes name, value
    cdef int i
    for i in range(scan.forwarded):
        name = cut(data, scan.names[i]).lower()
        value = cut(data, scan.values[i])
        told[name] = told[name] + b", " + value if name in told else value
    return told


cdef inline bytes method_of(Text data, Py_ssize_t size):
    """The method, when it is one of the usual; None otherwise."""
    if size == 3:
        if memcmp(data, b"GET", 3) == 0:
            return b"GET"
        if memcmp(data, b"PUT", 3) == 0:
            return b"PUT"
    elif size == 4:
        if memcmp(data, b"POST", 4) == 0:
            return b"POST"
        if memcmp(data, b"HEAD", 4) == 0:
            return b"HEAD"
    elif size == 5:
        if memcmp(data, b"PATCH", 5) == 0:
            return b"PATCH"
    elif size == 6:
        if memcmp(data, b"DELETE", 6) == 0:
            return b"DELETE"
    elif size == 7:
        if memcmp(data, b"OPTIONS", 7) == 0:
            return b"OPTIONS"
    return None


cpdef RequestHead ordinary_request_head(bytes data, limits):
    """The head, when there is an ordinary one at the start of `data`; None otherwise."""
    cdef Text text = <Text>PyBytes_AS_STRING(data)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(data), at = 0
    cdef Scan scan
    cdef Span target
    cdef bytes method, cookie = None
    cdef dict forwarded = None
    cdef int minor
    cdef Py_ssize_t most = limits.fields
    while NAME[text[at]]:
        at += 1
    method = method_of(text, at)
    if method is None or text[at] != c" ":
        return None
    target.start = at = at + 1
    if text[at] != c"/":
        return None
    while TARGET[text[at]]:
        at += 1
    target.end = at
    if n - at < 11 or memcmp(text + at, b" HTTP/1.", 8) != 0 or memcmp(text + at + 9, b"\r\n", 2) != 0:
        return None
    minor = text[at + 8] - c"0"
    if minor != 1 and minor != 0 or target.end - target.start > limits.target:
        return None
    if limits.underscores or not scan_fields(&scan, text, at + 11, n, most, True, minor):
        return None
    if scan.size > limits.size or (minor and not scan.host.start):
        return None
    if scan.cookie.start:
        cookie = cut(text, scan.cookie)
    if scan.forwarded:
        forwarded = forwarded_of(&scan, text)
    cdef RequestHead head = RequestHead.__new__(RequestHead)
    head.method = method
    head.target = cut(text, target)
    head.minor = minor
    head.host = cut(text, scan.host)
    head.length = scan.length
    head.flags = scan.flags
    head.block = block_of(&scan, text)
    head.cookie = cookie
    head.forwarded = forwarded
    head.size = scan.size
    return head


cpdef ResponseHead ordinary_response_head(bytes data, limits):
    """The head, when there is an ordinary one at the start of `data`; None otherwise."""
    cdef Text text = <Text>PyBytes_AS_STRING(data)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
    cdef Scan scan
    cdef Span reason
    cdef Text found
    cdef int minor, status
    cdef Py_ssize_t most = limits.fields
    if n < 15 or memcmp(text, b"HTTP/1.", 7) != 0 or text[8] != c" " or text[12] != c" ":
        return None
    minor = text[7] - c"0"
    if minor != 1 and minor != 0 or not c"1" <= text[9] <= c"5":
        return None
    if not c"0" <= text[10] <= c"9" or not c"0" <= text[11] <= c"9":
        return None
    status = (text[9] - c"0") * 100 + (text[10] - c"0") * 10 + (text[11] - c"0")
    found = <Text>memchr(text + 13, c"\r", n - 13)
    if found == NULL or found[1] != c"\n":  # found < text + n
        return None
    reason.start = 13
    reason.end = found - text
    if not scan_fields(&scan, text, reason.end + 2, n, most, False, minor) or scan.size > limits.size:
        return None
    cdef ResponseHead head = ResponseHead.__new__(ResponseHead)
    head.status = status
    head.reason = cut(text, reason)
    head.minor = minor
    head.length = scan.length
    head.flags = scan.flags
    head.block = block_of(&scan, text)
    head.size = scan.size
    return head


def parse_request_head(bytes data not None, limits):
    """As proxy.http1.head.parse_request_head."""
    head = ordinary_request_head(data, limits)
    return plain_request(data, limits) if head is None else head


def parse_response_head(bytes data not None, limits):
    """As proxy.http1.head.parse_response_head."""
    head = ordinary_response_head(data, limits)
    return plain_response(data, limits) if head is None else head
