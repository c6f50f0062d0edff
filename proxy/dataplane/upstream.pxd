from proxy.dataplane.exchange cimport Exchange
from proxy.dataplane.wheel cimport Wheel
from proxy.pools.endpoint cimport Endpoint
from proxy.dataplane.attempt cimport Attempt

cdef class Upstream:
    cdef public Endpoint endpoint
    cdef public Exchange exchange
    cdef public Wheel _wheel
    cdef public object transport, body
    cdef public bytes buffer
    cdef public double deadline, scheduled, _try_deadline
    cdef public int state, informational
    cdef public long long _writes
    cdef public bint is_closed, keep, reused, _chunked, _paused, _sending, _write_paused
    cpdef start(self, Exchange exchange, bytes body, bint done, double now)
    cpdef release(self, double now)
    cpdef refresh(self)
