"""The only writer: decides what is up and what is in force, and tells every worker."""
