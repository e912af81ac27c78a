"""The command line. Standard output is the result, standard error the log."""

if __name__ != "lutra.service":
    raise ImportError("import lutra.service, not service")

__all__: list[str] = []
