cimport cython
from proxy.dataplane.exchange cimport Exchange
from proxy.dataplane.plane cimport Plane
from proxy.pools.endpoint cimport Endpoint
from proxy.pools.pool cimport Pool
from proxy.pools.state cimport PoolState

cdef class Attempt:
    cdef public Exchange exchange
    cdef public Endpoint endpoint
    cdef public object upstream
    cdef public double began, deadline
    cdef public bint is_over
    cpdef end(self, double now)
    cpdef leave(self)
    cpdef vacate(self)
    cpdef send(self, upstream, double now)

@cython.locals(pool=Pool, endpoint=Endpoint, shared=PoolState, attempt=Attempt, idle=list, now=double, deadline=double)
cpdef begin_attempt(Exchange exchange, bint fresh=*)
