"""The composition root of a worker process: real clocks, real chance, real sockets around the data plane."""
