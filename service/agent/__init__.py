"""Measuring for a server from afar: jobs come over HTTP, rows go back; a store on the device is the spool."""
