from proxy.dataplane.wheel cimport Wheel
from proxy.telemetry.counters cimport PoolCounters

cdef class Plane:
    cdef public object loop, snapshot, clock, wall, fine, bits, refusals, on_failing, on_end, shadows, streams, workshop
    cdef public set tunnels, _connecting, _running
    cdef public Wheel wheel
    cdef public PoolCounters unrouted
    cdef public bint is_ready, draining
