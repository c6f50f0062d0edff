"""The master process: owns the listening sockets, starts and replaces children, passes messages on. No HTTP."""
