from proxy.pools.state cimport PoolState

cdef class Endpoint:
    cdef public PoolState shared
    cdef public str service, pool, address
    cdef public double weight, ejected_until
    cdef public object state
    cdef public bint is_updated
    cdef public long long in_flight, tunnels, consecutive_errors, ejections
    cdef public list idle
