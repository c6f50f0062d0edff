cdef class Router:
    cdef public object find
    cdef public tuple rows

cdef class _Entry:
    cdef public list candidates
    cdef public object only

cdef class _PathIndex:
    cdef public dict _exact, _prefixes
    cdef public _Entry _others
    cdef public list _depths

cdef class _HostIndex:
    cdef public dict _exact, _suffixes
    cdef public tuple _any
    cdef public Py_ssize_t _depth
