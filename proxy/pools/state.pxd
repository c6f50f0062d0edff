from proxy.telemetry.counters cimport PoolCounters

cdef class PoolState:
    cdef public str service, name
    cdef public object limits, budget, pending, pools
    cdef public PoolCounters counters
    cdef public long long connections, position
    cdef public bint is_rolling
