cimport cython

from proxy.http1.message cimport RequestHead, ResponseHead
from proxy.dataplane.attempt cimport Attempt
from proxy.dataplane.plane cimport Plane
from proxy.pools.endpoint cimport Endpoint
from proxy.pools.pool cimport Pool
from proxy.routing.service cimport Service
from proxy.telemetry.counters cimport PoolCounters
from proxy.telemetry.histogram cimport Histogram

cdef class Exchange:
    cdef public Plane plane
    cdef public RequestHead head
    cdef public object downstream, client, retry, route, timeouts
    cdef public object aside, held, named, reason, _flagged
    cdef public bytes asked, scheme, block, identity, path, query, request_trailers, set_cookie, _host
    cdef public tuple response_filters, tried
    cdef public Pool pool
    cdef public Attempt attempt
    cdef public Endpoint endpoint
    cdef public PoolCounters counters
    cdef public double started, deadline, scheduled, connecting, waited
    cdef public long long attempts, received, sent, status
    cdef public bint is_copy, is_queued, request_done, responded, response_done, stale_retried
    @cython.locals(service=Service)
    cpdef begin(self, bytes body, bint done)
    cpdef send_off(self, bytes cookie)
    cpdef response(self, ResponseHead head, bytes body, bint done)
    cpdef pass_on(self, ResponseHead head, bytes body, bint done)
    cpdef response_data(self, bytes data)
    cpdef _count(self)
