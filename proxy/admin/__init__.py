"""The admin API: one URL is one verb of the control, answered in JSON once it is in force everywhere."""
