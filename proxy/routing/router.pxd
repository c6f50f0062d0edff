cdef class Router:
    cdef public object find
    cdef public tuple rows

cdef class _PathIndex:
    cdef public dict _exact, _prefixes
    cdef public list _others
    cdef public Py_ssize_t _depth

cdef class _HostIndex:
    cdef public dict _exact, _suffixes
    cdef public tuple _any
    cdef public Py_ssize_t _depth
