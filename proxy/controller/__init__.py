"""The composition root of the controller process: real clocks, the channel, the store, the admin API."""
