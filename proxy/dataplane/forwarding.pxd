from proxy.http1.message cimport RequestHead

cdef class Origin:
    cdef public object _bits, client, trusted
    cdef public bytes _prefix
    cpdef describe(self, RequestHead head)
