cdef class Wheel:
    cdef public double now
    cdef public double _width
    cdef public long long _next
    cdef public dict _slots
