from proxy.http1.message cimport ResponseHead
from proxy.dataplane.upstream cimport Upstream
from proxy.dataplane.exchange cimport Exchange

cpdef take_response(Upstream connection, ResponseHead head, bytes data)
