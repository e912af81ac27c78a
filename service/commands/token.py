"""``lutra token``: who may ask a server for what."""

from typing import Annotated

import typer

from ..options import JsonOption, StoreOption, echo_json

app = typer.Typer(no_args_is_help=True, help="Make tokens for a server, list them, revoke them.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as 'notebooks'.")],
    scope: Annotated[
        str,
        typer.Option(
            "--scope", metavar="SCOPE", help="read (look, predict), profile (also measure, import, run jobs), or admin."
        ),
    ] = "read",
    days: Annotated[float, typer.Option("--days", metavar="N", help="Days it is valid; 0 for ever.")] = 90.0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is shown this once: the store keeps its hash only."""
    from ..stores import open_store, require_store
    from ..tokens import Tokens

    with open_store(store, read_only=False, create=True) as opened:
        record, text = Tokens(require_store(opened)).create(name, scope, days=None if days == 0 else days)
    if as_json:
        echo_json(record.to_dict() | {"token": text})
        return
    typer.echo(text)
    until = "for ever" if record.expires_at is None else f"until {record.expires_at[:10]}"
    typer.echo(f"token {record.id} of scope {record.scope}, valid {until}", err=True)


@app.command("list")
def list_tokens(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List all tokens, those that are not valid any more too."""
    from ..stores import open_store
    from ..tokens import Tokens

    with open_store(store, read_only=False) as opened:
        records = Tokens(opened).list() if opened else []
    if as_json:
        echo_json([record.to_dict() for record in records])
        return
    if not records:
        typer.echo("no tokens yet: lutra token create NAME")
        return
    from ...luts import utc_now
    from ..render import console, grid

    now = utc_now()
    cells = [
        [r.id, r.name, r.scope, "yes" if r.valid_at(now) else "no", r.created_at[:10], (r.expires_at or "never")[:10]]
        for r in records
    ]
    console().print(grid(["token", "name", "scope", "valid", "made", "expires"], cells, left=6))


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id: the first part behind lutra_.")],
    store: StoreOption = None,
) -> None:
    """End a token's validity. A running server refuses it at once."""
    from ..stores import open_store, require_store
    from ..tokens import Tokens

    identity = token.removeprefix("lutra_").partition("_")[0]
    with open_store(store, read_only=False) as opened:
        record = Tokens(require_store(opened)).revoke(identity)
    typer.echo(f"token {record.id} ({record.name}) is not valid any more")
