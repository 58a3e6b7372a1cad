"""Write keys as doors use them: by secret, by public name or number, and how often."""

from collections.abc import Callable

import pytest

from server.http import keys as http_keys
from server.http.answers import Problem
from server.http.keys import STALE_S, Keys
from server.http.throttle import Throttle
from storage.keys import Right, WriteKey, digest_of
from storage.memory import Memory
from storage.memory_keys import MemoryKeys

NOW = 1_000


async def holders(
    rights: dict[str, list[Right]], seconds: Callable[[], float] = lambda: 5.0, **changes: int
) -> tuple[Keys, Memory]:
    memory = Memory()
    store = MemoryKeys(memory)
    for name, allowed in rights.items():
        await store.create(WriteKey(name, digest_of(f"rk_{name}"), allowed, 0, changes.get(name), None, 1.0))
    return Keys(store, lambda: NOW, 1.0, seconds, rates={"collect": 10.0}), memory


async def test_a_project_is_found_by_its_name_or_its_number():
    keys, _ = await holders({"shop": ["collect"], "app": ["mobile", "collect"]})

    for found in (await keys.project("mobile", name="app"), await keys.project("mobile", number=2)):
        assert found is not None
        assert (found.name, found.number) == ("app", 2)


async def test_a_project_without_the_right_or_past_its_time_is_none():
    keys, _ = await holders({"shop": ["collect"], "old": ["mobile"]}, old=NOW)

    assert await keys.project("mobile", name="shop") is None
    assert await keys.project("mobile", number=1) is None
    assert await keys.project("mobile", name="old") is None
    assert await keys.project("mobile", name="none") is None
    assert await keys.project("mobile", number=0) is None
    assert await keys.project("mobile") is None


async def test_a_project_cannot_be_known_while_storage_is_away():
    keys, memory = await holders({"app": ["mobile"]})
    memory.faults.away = True

    with pytest.raises(Problem) as caught:
        await keys.project("mobile", name="app")
    assert caught.value.status == 503


async def test_a_storage_that_says_nothing_is_waited_for_a_moment_and_a_known_key_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = [5.0]
    keys, memory = await holders({"app": ["mobile"]}, lambda: clock[0])
    monkeypatch.setattr(http_keys, "READ_S", 0.01)
    await keys.of_secret("rk_app", "mobile")
    memory.faults.stalled = True
    clock[0] += STALE_S

    assert (await keys.of_secret("rk_app", "mobile")).name == "app"
    with pytest.raises(Problem) as caught:
        await keys.of_secret("rk_new", "mobile")
    assert caught.value.status == 503
    clock[0] += 0.1
    with pytest.raises(Problem) as caught:
        await keys.of_secret("rk_app", "mobile")
    assert caught.value.status == 503
    memory.faults.stalled = False


@pytest.mark.parametrize(("secret", "right", "status"), [("rk_none", "xapi", 401), ("rk_app", "xapi", 403)])
async def test_a_secret_that_may_not_is_refused(secret: str, right: Right, status: int):
    keys, _ = await holders({"app": ["mobile"]})

    with pytest.raises(Problem) as caught:
        await keys.of_secret(secret, right)
    assert caught.value.status == status


async def test_a_right_with_a_rate_of_its_own_is_counted_apart():
    keys, _ = await holders({"app": ["mobile", "collect"]})
    for _ in range(2):
        await keys.of_secret("rk_app", "mobile")
    await keys.of_secret("rk_app", "collect", cost=20)

    for right in ("mobile", "collect"):
        with pytest.raises(Problem) as caught:
            await keys.of_secret("rk_app", right)
        assert caught.value.status == 429


@pytest.mark.parametrize("count", [1, 2, 5, 20, 1_000])
def test_a_full_bucket_gives_any_amount_and_then_rests(count: int):
    throttle = Throttle(10, 20)

    assert throttle.take("k", 100.0, count) == 0
    wait = throttle.take("k", 100.0, 20)
    assert wait == pytest.approx(count / 10)
    assert throttle.take("k", 100.0 + wait, 20) == 0


def test_nothing_taken_waits_only_for_what_is_owed_beyond_a_burst():
    throttle = Throttle(10, 20)
    throttle.take("k", 100.0, 20)
    assert throttle.take("k", 100.0, 0) == 0

    throttle.take("j", 100.0, 50)
    assert throttle.take("j", 100.0, 0) == pytest.approx(3.0)
