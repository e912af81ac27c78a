"""Who is asking, and whether they may: bearer tokens for programs, a cookie for the pages."""

import hmac
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from ...networks.errors import ForbiddenError, UnauthenticatedError
from ..scopes import Scope, includes, require_scope
from ..tokens import Tokens, digest_of
from .limits import Limiter

if TYPE_CHECKING:
    from .service import Service

COOKIE: Final = "lutra_session"
CSRF_HEADER: Final = "x-csrf-token"
SESSION_S: Final = 12 * 3600.0
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_SESSIONS: Final = 1000
_MOST_REMEMBERED: Final = 1000
_LONGEST: Final = 200

bearer = HTTPBearer(auto_error=False, description="A token from `lutra serve` or `lutra token create`")


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        id: the token's public part; "serve" for the one that the server printed.
        scope: what it allows.
        csrf: what a form of the pages must bring; None for a bearer token.
    """

    id: str
    scope: Scope
    csrf: str | None = None


@dataclass(frozen=True)
class _Session:
    principal: Principal
    ends: float


class Access:
    """Tokens and sessions of one server.

    Sessions are kept in memory: when the server stops, browsers log in again. What was found out about a token holds
    until anybody writes to the store, so a revoked one is refused at once.

    Args:
        tokens: those of the store.
        own_digest: hash of the token that this server printed; None for none.
        failures: counts wrong tokens by address.
    """

    def __init__(self, tokens: Tokens, own_digest: str | None, failures: Limiter) -> None:
        self.tokens = tokens
        self._own = own_digest
        self._failures = failures
        self._codes: dict[str, Principal] = {}
        self._sessions: dict[str, _Session] = {}
        self._remembered: dict[str, tuple[Principal, float]] = {}  # with when the token ends
        self._mark = ""

    def forget(self, mark: str) -> None:
        """Ask the store again about tokens, if it has changed since."""
        if mark != self._mark:
            self._mark = mark
            self._remembered.clear()

    # -- tokens -------------------------------------------------------------------------------------------

    def remembered(self, text: str) -> Principal | None:
        """Whose a token is, if that was found out lately."""
        found = self._remembered.get(digest_of(text))
        return found[0] if found is not None and time.time() < found[1] else None

    def verify(self, text: str) -> Principal:
        """Whose a token is; reads the store.

        Raises:
            UnauthenticatedError: it is not valid.
        """
        digest = digest_of(text)
        ends = math.inf
        if self._own is not None and hmac.compare_digest(digest, self._own):
            principal = Principal("serve", "admin")
        else:
            record = self.tokens.verify(text)
            principal = Principal(record.id, record.scope)
            if record.expires_at is not None:
                ends = datetime.fromisoformat(record.expires_at).timestamp()
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = principal, ends
        return principal

    def refuse_guessing(self, address: str) -> None:
        """Refuse an address that has sent too many wrong tokens.

        Raises:
            RateLimitedError: it has.
        """
        self._failures.require(address)

    def count_failure(self, address: str) -> None:
        """Remember that an address has sent a wrong token."""
        self._failures.count(address)

    # -- sessions -----------------------------------------------------------------------------------------

    def new_code(self) -> str:
        """A code that logs a browser in, once, as the server's own administrator."""
        code = secrets.token_urlsafe(24)
        self._codes[digest_of(code)] = Principal("serve", "admin")
        return code

    def redeem(self, code: str) -> Principal | None:
        """Whom a code stands for; a second time it stands for nobody."""
        return self._codes.pop(digest_of(code), None)

    def open_session(self, principal: Principal) -> str:
        """Begin a session; returns what its cookie holds."""
        now = time.monotonic()
        self._sessions = {key: session for key, session in self._sessions.items() if session.ends > now}
        while len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        text = secrets.token_urlsafe(32)
        owner = Principal(principal.id, principal.scope, csrf=secrets.token_urlsafe(32))
        self._sessions[digest_of(text)] = _Session(owner, now + SESSION_S)
        return text

    def session(self, text: str) -> Principal | None:
        """Whose session a cookie's text is; None where there is none any more."""
        found = self._sessions.get(digest_of(text)) if len(text) < _LONGEST else None
        return found.principal if found is not None and found.ends > time.monotonic() else None

    def close_session(self, text: str) -> None:
        """End a session."""
        self._sessions.pop(digest_of(text), None)

    def still_valid(self, principal: Principal) -> bool:
        """Whether the token that a session was opened with is valid; reads the store."""
        from ...luts import utc_now

        if principal.id == "serve":
            return True
        record = self.tokens.find(principal.id)
        return record is not None and record.valid_at(utc_now())


Requirement = Callable[..., Awaitable[Principal]]


def requires(scope: Scope, *, heavy: bool = False) -> Requirement:
    """A dependency that lets only those in whose token allows ``scope``, and not too often.

    Args:
        scope: what is needed.
        heavy: counts as an upload or a job, of which there may be fewer.
    """

    async def allowed(
        request: Request,
        credentials: HTTPAuthorizationCredentials | None = Security(bearer),  # noqa: B008  # FastAPI's way
    ) -> Principal:
        service = request.app.state.service
        principal = await identified(request, credentials.credentials if credentials else None)
        request.state.principal = principal.id
        service.ordinary.take(principal.id)
        if heavy:
            service.weighty.take(principal.id)
        require_scope(principal.scope, scope)
        return principal

    allowed.scope = scope  # type: ignore[attr-defined]  # for the contract's page
    return allowed


def known_by_token(request: Request, scope: Scope) -> Principal | None:
    """Who asks with a token that was seen lately and allows ``scope``; None for everybody else, who may be known yet.

    What `requires` finds out, but for counting the request.
    """
    service: Service = request.app.state.service
    scheme, text = get_authorization_scheme_param(request.headers.get("authorization"))
    found = service.access.remembered(text) if scheme.lower() == "bearer" else None
    if found is None or not includes(found.scope, scope):
        return None
    request.state.principal = found.id
    return found


async def identified(request: Request, text: str | None) -> Principal:
    """Who asks, by a bearer token or by the cookie of the pages.

    Raises:
        UnauthenticatedError: nobody who is known.
        ForbiddenError: a request with a cookie that could come from another site.
    """
    service: Service = request.app.state.service
    access = service.access
    address = address_of(request)
    if text is not None:
        if (known := access.remembered(text)) is not None:
            return known
        access.refuse_guessing(address)
        try:
            return await service.read(access.verify, text[:_LONGEST])
        except UnauthenticatedError:
            access.count_failure(address)
            raise
    cookie = request.cookies.get(COOKIE)
    found = access.session(cookie) if cookie else None
    if found is None or not await service.read(access.still_valid, found):
        raise UnauthenticatedError("this needs a token", hint="send it as: Authorization: Bearer TOKEN")
    if request.method not in _SAFE:
        require_own_page(request, found, request.headers.get(CSRF_HEADER))
    return found


def require_own_page(request: Request, principal: Principal, token: str | None) -> None:
    """Refuse a request that another site may have made the browser send (cross-site request forgery).

    Raises:
        ForbiddenError: its origin is another, or it does not bring the page's own token.
    """
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    site = request.headers.get("sec-fetch-site", "same-origin")
    same = (origin is None or origin == own) and site in ("same-origin", "none")
    expected = principal.csrf or ""
    if not same or not expected or not hmac.compare_digest((token or "").encode(), expected.encode()):
        raise ForbiddenError("the request does not come from a page of this server", hint="reload the page")


def address_of(request: Request) -> str:
    """Where the request comes from."""
    client: Any = request.client
    return client.host if client else "-"
