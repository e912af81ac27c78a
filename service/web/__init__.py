"""Pages made on the server: HTML from templates, each with a JSON twin. Nothing is fetched from elsewhere."""
