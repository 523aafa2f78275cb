"""Authorization: which token may call which operation."""

import hmac
from collections.abc import Mapping

from attrs import field, frozen
from starlette.exceptions import HTTPException

from oneloop.sandbox._calls import Operation
from oneloop.sandbox._state import Link, NotFoundError, State


@frozen
class Access:
    """The two API keys of a sandbox: one has every right, the other has none."""

    api_key: str = field(repr=False)
    restricted_api_key: str = field(repr=False)

    def check(
        self,
        state: State,
        operation: Operation,
        path_params: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> Link | None:
        """Check the token of a call and its rights.

        Returns:
            What the caller's link token stands for; None if the caller has the API's key.

        Raises:
            HTTPException: 401 for a bad token, 403 for missing rights.
        """
        authorization = headers.get("authorization")
        token = headers.get("x-link-token")
        if authorization is None and token is not None:
            return _check_link(state, operation, path_params, token)
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            if _same(key, self.api_key):
                return None
            if _same(key, self.restricted_api_key):
                raise HTTPException(403)
        raise HTTPException(401)


def _check_link(
    state: State, operation: Operation, path_params: Mapping[str, str], token: str
) -> Link:
    try:
        link = state.links.get(token)
    except NotFoundError:
        raise HTTPException(401) from None
    if not state.links.is_alive(link):
        raise HTTPException(401)
    # 403, not 404, so that a link token cannot be used to probe for other workspaces.
    if not operation.linked or path_params.get("id", link.workspace_id) != link.workspace_id:
        raise HTTPException(403)
    return link


def _same(token: str, key: str) -> bool:
    return hmac.compare_digest(token.encode(), key.encode())
