from hypothesis import given
from hypothesis import strategies as st

from patchmill.dev.standin.tokens import PromptCache, count_tokens, cut, utf8


@given(st.text())
def test_there_are_never_more_tokens_than_bytes(text: str) -> None:
    assert count_tokens(text) <= len(utf8(text))
    assert bool(count_tokens(text)) == bool(text)


@given(st.text(), st.integers(1, 20))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, max_tokens: int) -> None:
    kept = cut(text, max_tokens)
    assert text.startswith(kept)
    assert count_tokens(kept) <= max_tokens
    assert kept == text or count_tokens(text[: len(kept) + 1]) > max_tokens


@given(st.text(min_size=1), st.integers(0, 3_000), st.text(max_size=600))
def test_cached_tokens_are_whole_blocks_of_the_shared_beginning(seed: str, size: int, tail: str) -> None:
    shared = (seed * size)[:size]
    cache = PromptCache()
    cache.remember(cache.blocks("m", shared))
    cached = cache.cached_tokens(cache.blocks("m", shared + tail))
    assert cached == len(utf8(shared)) // 256 * 64
    assert cache.cached_tokens(cache.blocks("other", shared)) == 0
