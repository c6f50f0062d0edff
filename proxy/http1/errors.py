"""What is wrong with a message, said once: the status to answer, the reason token and a sentence.

Reason tokens, by status:

- 400, start line: bad_request_line, bad_method, bad_target, bad_version
- 400, lines: bad_line_ending, bad_field_line, bad_field_name, bad_field_value, obs_fold
- 400, framing: bad_content_length, bad_transfer_encoding, conflicting_framing, bad_chunk, upgrade_with_body
- 400, routing: missing_host, duplicate_host, bad_host, host_mismatch, bad_path
- 414: target_too_long
- 431: head_too_large, too_many_fields
- 502: upstream_malformed (any of these in the head of a response; the sentence says which)
"""


class MessageError(Exception):
    """A message that is not HTTP/1.1 as we take it; never repaired.

    `status` is what a client is told (an upstream's broken response is 502 whatever stands here), `reason` the token of
    x-sluice-reason, logs and metrics.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
