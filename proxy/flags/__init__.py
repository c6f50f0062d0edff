"""Feature flags: definitions in flagd's format, their evaluation, and the logic of OFREP; no effects of any kind."""
