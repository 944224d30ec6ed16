"""A host's app that hears of events: its receiver writes to a file in the folder HEARD."""
