"""What people look at: pages made on the server, each with a JSON twin, and the same in one file (`lutra report`).

A view (`views/`) collects plain data and draws pictures of it; `rendering` makes HTML of that. Neither knows of HTTP:
`site` and `login` route requests to them, by way of `pages`.
"""
