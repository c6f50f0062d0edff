cdef class SessionCodec:
    cdef bytes _prefix, _signs
    cdef dict _keys
