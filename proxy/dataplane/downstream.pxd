from proxy.http1.message cimport ResponseHead
from proxy.dataplane.exchange cimport Exchange
from proxy.dataplane.listener cimport Listener
from proxy.dataplane.plane cimport Plane
from proxy.dataplane.wheel cimport Wheel
from proxy.dataplane.forwarding cimport Origin

cdef class Downstream:
    cdef public object transport, body, _end, client
    cdef public Listener listener
    cdef public Plane plane
    cdef public Origin origin
    cdef public Exchange exchange
    cdef public bytes buffer
    cdef public double deadline, scheduled
    cdef public int state, minor
    cdef public long long _mark
    cdef public bint keep, _half_closed, _paused, _pumping, _write_paused
    cpdef respond(self, ResponseHead head, bytes body, bint done)
    cpdef finished(self)
