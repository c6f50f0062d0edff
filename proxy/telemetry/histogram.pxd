cdef class Histogram:
    cdef public list counts
    cdef public double total
