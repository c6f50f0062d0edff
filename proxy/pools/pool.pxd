from proxy.pools.endpoint cimport Endpoint
from proxy.pools.state cimport PoolState

cdef class Pool:
    cdef object __weakref__
    cdef public object spec, service, name, _chance, _rotation, _cohorts, _table
    cdef public tuple endpoints, usable
    cdef public PoolState shared
    cdef public Endpoint _only
    cdef public Pool _for_held, _reserve
    cdef public bint is_cohort
    cpdef Endpoint pick(self, facts, tuple[Endpoint, ...] tried=*)
