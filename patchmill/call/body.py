"""The body of a 200 becomes an answer, as a stream of events or as one document, whatever its type says."""

from patchmill.call.stream import AnswerBuilder, MalformedAnswer, SseParser

MAX_ANSWER_BYTES = 4 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class BodyReader:
    """Reads bytes as they come into `answer`.

    What begins like a JSON object or list is a plain document, and everything else a stream: content types
    are missing or wrong too often. `streamed` is None until the beginning came.
    """

    def __init__(self) -> None:
        self.answer = AnswerBuilder()
        self.streamed: bool | None = None
        self._size = 0
        self._document = bytearray()
        self._parser = SseParser()

    @property
    def done(self) -> bool:
        """Whether the stream said that it ends."""
        return self._parser.done

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; give whether any of the answer was among them, and not only signs of life.

        Raises:
            MalformedAnswer: they are no answer, or it is too large.
        """
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise MalformedAnswer(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if self.streamed is None:
            self._document += data
            beginning = self._document.removeprefix(_BOM).lstrip()
            if not beginning or _BOM.startswith(beginning):
                return False
            self.streamed = not beginning.startswith((b"{", b"["))
            data = bytes(self._document)
        elif not self.streamed:
            self._document += data
        return self._feed_stream(data) if self.streamed else not data.isspace()

    def close(self) -> None:
        """End the body.

        Raises:
            MalformedAnswer: what came is no answer.
        """
        if self.streamed:
            for event in self._parser.close():
                self.answer.add_event(event)
        else:
            self.answer.add_body(bytes(self._document))

    def _feed_stream(self, data: bytes) -> bool:
        events = self._parser.feed(data)
        for event in events:
            self.answer.add_event(event)
        return bool(events)
