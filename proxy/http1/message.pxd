cimport cython

@cython.no_gc
@cython.freelist(16)
cdef class RequestHead:
    cdef public bytes method, target, host, block, cookie
    cdef public dict forwarded
    cdef public long long minor, length, flags, size

@cython.no_gc
@cython.freelist(16)
cdef class ResponseHead:
    cdef public bytes reason, block
    cdef public long long status, minor, length, flags, size
