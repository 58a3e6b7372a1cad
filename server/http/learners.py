"""`DELETE /api/v1/users/{id}`: a learner's right to be forgotten. For admins."""

from __future__ import annotations

from aiohttp import web

from actors.directory import NotOwned
from actors.ports import LeaseLost, StoreAway, StoreRefused
from protocol.learners import ErasedAnswer
from server.http import asking, params
from server.http.access import Access
from server.http.answers import forbidden, json_answer, unavailable
from server.learners.erasing import Eraser

_LONG_S = 5.0


class LearnerRights:
    """The handler. One a process."""

    def __init__(self, access: Access, eraser: Eraser) -> None:
        self._access = access
        self._eraser = eraser

    async def erase(self, request: web.Request) -> web.Response:
        """200 once nothing is left of the learner: up to a minute and a half on a busy server. Idempotent."""
        claims = await self._access.anybody(request)
        if claims.role != "admin":
            raise forbidden("this is for admins")
        user_id = params.path_id(request)
        try:
            gone = await self._eraser.erase(user_id)
        except (NotOwned, StoreRefused) as error:
            raise asking.away(error) from error
        except (StoreAway, LeaseLost) as error:
            raise unavailable(f"not all is erased, ask again: {error}", _LONG_S) from error
        return json_answer(ErasedAnswer(user_id, gone))
