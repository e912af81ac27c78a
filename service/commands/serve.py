"""``lutra serve``: the REST API and its pages."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..options import StoreOption

_MB = 1 << 20


def serve(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Interface; 127.0.0.1 is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    host_name: Annotated[
        list[str] | None,
        typer.Option("--host-name", metavar="NAME", help="A name it may be asked under (any if omitted); repeatable."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", metavar="FILE", help="Certificate chain, for HTTPS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe X-Forwarded-For and -Proto of a proxy on this machine.")
    ] = False,
    max_upload_mb: Annotated[
        int, typer.Option("--max-upload-mb", metavar="N", min=1, help="Largest file that is taken, in MB.")
    ] = 512,
    upload_days: Annotated[
        float, typer.Option("--upload-days", metavar="N", min=0.01, help="Days after which uploads are deleted.")
    ] = 30.0,
    requests_per_s: Annotated[
        float, typer.Option("--requests-per-s", metavar="N", min=0.1, help="Requests a second of one client.")
    ] = 10_000.0,
    uploads: Annotated[
        Path | None, typer.Option("--uploads", metavar="FOLDER", help="Folder of uploads; beside the store if omitted.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option("--models", metavar="FOLDER", help="Folder of predictors; beside the store if omitted."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Serve tables, predictions and jobs over HTTP, until Ctrl-C.

    On 127.0.0.1, as it is without options, a token is printed that is valid until the server stops, and a link that
    logs a browser in once. To be reached by others, make a token first: lutra token create.
    """
    from ...networks.errors import UsageError
    from ..api.settings import Settings
    from ..serving import Listening, serve

    if (tls_certificate is None) != (tls_key is None):
        raise UsageError("a certificate without its key, or a key without its certificate", hint="give both or none")
    for file in (tls_certificate, tls_key):
        if file is not None and not file.is_file():
            raise UsageError(f"there is no file {file}", hint="give the certificate's and the key's files")
    settings = Settings(
        store=store,
        uploads=uploads,
        models=models,
        host_names=tuple(host_name or ()),
        secure_cookies=behind_proxy,
        max_upload_bytes=max_upload_mb * _MB,
        upload_days=upload_days,
        requests_per_s=requests_per_s,
    )
    listening = Listening(
        host=host,
        port=port,
        tls_certificate=None if tls_certificate is None else str(tls_certificate),
        tls_key=None if tls_key is None else str(tls_key),
        behind_proxy=behind_proxy,
    )

    def announce(url: str, token: str | None, login: str | None) -> None:
        typer.echo(f"serving at {url}")
        if token is not None:
            typer.echo(f"  in a browser, once: {url}{login}")
            typer.echo(f"  for programs, until it stops: LUTRA_SERVER={url} LUTRA_TOKEN={token}")

    with suppress(KeyboardInterrupt):  # the way it is meant to end
        serve(listening, settings, announce)
    typer.echo("stopped", err=True)
