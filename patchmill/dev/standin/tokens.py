"""Approximate tokens: counting, cutting and slicing text, and the prompt cache."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence

BYTES_PER_TOKEN = 4
CACHE_BLOCK_TOKENS = 64
_CACHE_BLOCK_BYTES = CACHE_BLOCK_TOKENS * BYTES_PER_TOKEN
_CACHE_BLOCKS_KEPT = 200_000
# A byte that continues a character looks like 10xxxxxx.
_CONTINUES_MASK, _CONTINUES = 0b1100_0000, 0b1000_0000


def utf8(text: str) -> bytes:
    """The text in UTF-8; half a surrogate pair, which JSON can carry, keeps its three bytes."""
    return text.encode("utf-8", "surrogatepass")


def count_tokens(text: str) -> int:
    """One token for every four UTF-8 bytes, rounded up; so never more tokens than bytes."""
    return -(-len(utf8(text)) // BYTES_PER_TOKEN)


def cut(text: str, max_tokens: int) -> str:
    """The longest beginning of the text, in whole characters, that counts at most `max_tokens`."""
    data = utf8(text)
    limit = max_tokens * BYTES_PER_TOKEN
    if len(data) <= limit:
        return text
    # Step back to where a character begins.
    while limit > 0 and data[limit] & _CONTINUES_MASK == _CONTINUES:
        limit -= 1
    return data[:limit].decode("utf-8", "surrogatepass")


def pieces(text: str, characters: int) -> Iterator[str]:
    """The text in slices of so many characters."""
    for start in range(0, len(text), characters):
        yield text[start : start + characters]


class PromptCache:
    """Which prompt beginnings were seen before, in blocks of 64 tokens."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    @staticmethod
    def blocks(model: str, prompt: str) -> tuple[bytes, ...]:
        """One digest for each whole block; each covers everything before it, and the model."""
        data = utf8(prompt)
        running = hashlib.blake2b(model.encode(), digest_size=16)
        digests: list[bytes] = []
        for end in range(_CACHE_BLOCK_BYTES, len(data) + 1, _CACHE_BLOCK_BYTES):
            running.update(data[end - _CACHE_BLOCK_BYTES : end])
            digests.append(running.digest())
        return tuple(digests)

    def cached_tokens(self, blocks: Sequence[bytes]) -> int:
        """Tokens of the longest beginning that an earlier prompt shared: a multiple of 64."""
        known = 0
        for block in blocks:
            if block not in self._blocks:
                break
            known += 1
        return known * CACHE_BLOCK_TOKENS

    def remember(self, blocks: Sequence[bytes]) -> None:
        """Keep these blocks; the ones unused for longest are forgotten first."""
        for block in blocks:
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > _CACHE_BLOCKS_KEPT:
            self._blocks.popitem(last=False)
