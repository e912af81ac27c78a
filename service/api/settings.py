"""What a server may be told: where its rows are, whom it listens to, and its limits."""

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""What stands for this machine alone."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a server; each has a default that suits one machine.

    Attributes:
        store: the store's file or URL; None for the default one.
        uploads: folder of uploaded files; None for ``uploads`` beside the store's file, or in the user's data folder
            where the store is on a server.
        models: folder of saved predictors, one folder each; None for ``models`` beside the uploads.
        host_names: names under which it may be asked (header ``Host``), without ports; empty for any.
        secure_cookies: send the cookie of the pages over HTTPS only.
        max_body_bytes: of a request that is JSON.
        max_upload_bytes: of an uploaded file.
        max_uploads_bytes: of all of them together.
        upload_days: after so many days an upload is deleted.
        max_batch: architectures or networks in one request.
        max_page: items on one page of a list.
        max_network_nodes: of a network that is sent.
        max_network_bytes: of its weights, and of its largest activations, whichever are more.
        requests_per_s: by one client, on average; twice as many at once.
        heavy_per_s: uploads, imports and new jobs by one client, on average; ten times as many at once.
        failures_per_s: wrong tokens from one address, on average; ten times as many at once.
        readers: requests that compute or read the store at the same time.
    """

    store: str | None = None
    uploads: Path | None = None
    models: Path | None = None
    host_names: tuple[str, ...] = ()
    secure_cookies: bool = False
    max_body_bytes: int = 32 << 20
    max_upload_bytes: int = 512 << 20
    max_uploads_bytes: int = 16 << 30
    upload_days: float = 30.0
    max_batch: int = 100_000
    max_page: int = 500
    max_network_nodes: int = 20_000
    max_network_bytes: int = 1 << 30
    requests_per_s: float = 10_000.0
    heavy_per_s: float = 5.0
    failures_per_s: float = 1.0
    readers: int = 8
