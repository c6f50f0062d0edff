cimport cython

@cython.locals(at=Py_ssize_t, end=Py_ssize_t, needle=bytes, before=bytes, behind=bytes)
cpdef bytes without_cookie(bytes header, bytes name)
