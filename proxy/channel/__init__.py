"""How the processes of one proxy talk: framed messages over a socket pair each child has with the master.

The master is the hub: it passes frames on by their address and reads only those that are for itself.
"""
