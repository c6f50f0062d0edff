from proxy.telemetry.histogram cimport Histogram

cdef class PoolCounters:
    cdef public list requests
    cdef public long long retries, spilled, panicked, ejections, overflowed
    cdef public object failures
    cdef public Histogram duration, upstream
