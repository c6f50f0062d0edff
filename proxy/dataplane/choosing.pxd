from proxy.dataplane.exchange cimport Exchange

cpdef take_route(Exchange exchange, route)
cpdef _follow_session(Exchange exchange, route)
cpdef _choose(Exchange exchange)
