from proxy.pools.pool cimport Pool

cdef class Service:
    cdef public object spec, name, pools, split, sticky, sticky_cookie, filters, timeouts, retry, ejection, limits, watched
    cdef public object _chance, _draws, _hash
    cdef public tuple _bounds, drawn, _home
    cdef public Pool _only
    cdef public bytes _slots
    cdef public dict _epochs, _held
    cdef public bint is_sticky, _keeps_endpoint
    cpdef Pool draw(self)
