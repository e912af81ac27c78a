"""One view a file: plain data for its JSON twin, pictures of it, and the name of its template."""
