from proxy.dataplane.plane cimport Plane

cdef class Listener:
    cdef public Plane plane
    cdef public object head_limits
    cdef public object bind, limits, trusted, _sock, _clients
    cdef public set connections, _starting
    cdef public long long _coming
    cdef public bint _accepting, _started, _stopped, _is_closing
