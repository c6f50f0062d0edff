from proxy.http1.message cimport RequestHead, ResponseHead

cpdef RequestHead ordinary_request_head(bytes data, limits)
cpdef ResponseHead ordinary_response_head(bytes data, limits)
