# Compiled, these modules know each other's types, and import them before anything else: in this order that works out.
from proxy.dataplane import exchange as exchange
