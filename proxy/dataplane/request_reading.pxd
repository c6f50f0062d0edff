from proxy.http1.message cimport RequestHead
from proxy.dataplane.downstream cimport Downstream
from proxy.dataplane.exchange cimport Exchange
from proxy.dataplane.forwarding cimport Origin
from proxy.dataplane.listener cimport Listener
from proxy.dataplane.plane cimport Plane

cpdef take_head(Downstream connection, bytes data)
