"""The head parser in use: the accelerator where it was built, else, or with SLUICE_PURE=1, the plain one."""

from proxy import BUILD

if BUILD == "accelerated":
    from proxy.http1._head import (
        ordinary_request_head,
        ordinary_response_head,
        parse_request_head,
        parse_response_head,
    )
else:
    from proxy.http1.ordinary import (
        ordinary_request_head,
        ordinary_response_head,
        parse_request_head,
        parse_response_head,
    )

__all__ = ["BUILD", "ordinary_request_head", "ordinary_response_head", "parse_request_head", "parse_response_head"]
