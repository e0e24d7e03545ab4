import math

from hypothesis import given
from hypothesis import strategies as st

from patchmill.dev.standin.spending import Money, Spending

CHARGES = st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["a", "b"]), st.integers(1, 100)), max_size=20)
CAPS = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 200)), max_size=3)


def spent(charges: list[tuple[float, str, int]], key: str, *, now: float, window_s: int) -> int:
    return sum(picos for at, owner, picos in charges if owner == key and now - window_s < at <= now)


@given(CHARGES, CAPS, st.floats(30, 60))
def test_the_tightest_bucket_is_told_and_more_is_left_at_its_reset(
    charges: list[tuple[float, str, int]], caps: list[tuple[int, int]], now: float
) -> None:
    charges.sort()
    spending = Spending()
    for at, key, picos in charges:
        spending.charge(key, picos, at=at)
    bucket = spending.tightest("a", Money(caps=tuple(caps)), now=now)

    left = {
        (max(0, cap - spent(charges, "a", now=now, window_s=window_s)), cap) for window_s, cap in caps if cap
    }
    if bucket is None:
        assert not left
        return
    assert bucket.left_picos == min(amount for amount, _ in left)
    assert (bucket.left_picos, bucket.cap_picos) in left
    if bucket.left_picos == 0:
        assert bucket.resets_at > now
        again = spending.tightest("a", Money(caps=tuple(caps)), now=bucket.resets_at)
        windows = [window_s for window_s, cap in caps if cap == bucket.cap_picos]
        assert again is not None
        assert any(
            spent(charges, "a", now=bucket.resets_at, window_s=window_s) < bucket.cap_picos
            for window_s in windows
        )


def test_the_reset_is_exact_to_the_second() -> None:
    spending = Spending()
    for at, picos in ((100.5, 40), (103.25, 60), (104.0, 10)):
        spending.charge("a", picos, at=at)
    money = Money(caps=((10, 100),))

    bucket = spending.tightest("a", money, now=105)

    assert bucket is not None
    assert (bucket.left_picos, bucket.resets_at) == (0, math.ceil(100.5 + 10))
    later = spending.tightest("a", money, now=bucket.resets_at)
    assert later is not None
    assert later.left_picos == 30
    assert spending.total == spending.of_key("a") == 110
