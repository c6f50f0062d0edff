"""The only writer: what is wanted, how it comes into force, what is remembered of it, and who is alive."""
