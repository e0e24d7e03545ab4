"""What a model is told when its answer failed, how often, and what becomes of the parts that were right."""

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.edit.formats import EDIT_FORMATS
from patchmill.edit.protocol import AnyEdit
from tests.support.attempts import FLASH, PRO, Attempts, attempting
from tests.support.edit_answers import EDITS, RENDERERS

pytestmark = pytest.mark.timeout(240)

each_format = pytest.mark.parametrize("name", EDIT_FORMATS)
HALF = '''def {name}(into=[]):
    """{name}."""
    return into
'''


@pytest.fixture
def attempts(engine: Engine, database_url: str, redis_url: str) -> Iterator[Attempts]:
    # The stand-in asks ruff before it answers, which takes its time on a busy machine.
    with attempting(engine, database_url, redis_url, silence_s=60.0, call_deadline_s=100.0) as made:
        yield made


class Trial:
    """A file with a mutable default on lines 4 and 9, and edits of it in one format."""

    def __init__(self, attempts: Attempts, name: str, *, repairs: int = 1) -> None:
        self.attempts = attempts
        self.name = name
        head = f'"""Module {uuid.uuid4().hex}."""\n\n\n'
        self.source = f"{head}{HALF.format(name='one')}\n\n{HALF.format(name='two')}"
        self.lines = self.source.split("\n")[:-1]
        self.repairs = repairs

    def mended(self, which: str) -> AnyEdit:
        """Mend one of the two."""
        at = self.lines.index(f"def {which}(into=[]):")
        new = f'def {which}(into=None):\n    """{which}."""\n    if into is None:\n        into = []\n'
        return EDITS[self.name](self.lines, at, at + 2, new)

    def wrong(self, which: str, default: str = "{}") -> AnyEdit:
        """Change one of the two so that the finding stays."""
        at = self.lines.index(f"def {which}(into=[]):")
        return EDITS[self.name](self.lines, at, at + 1, f"def {which}(into={default}):\n")

    def misplaced(self, which: str) -> AnyEdit:
        """Name a line that the file does not have."""
        at = self.lines.index(f"def {which}(into=[]):")
        lines = [line.replace(f"{which}(into", f"{which}(onto") for line in self.lines]
        return EDITS[self.name](lines, at, at + 1, "pass\n")

    def run(self, *answers: Sequence[AnyEdit], **options: Any) -> Any:
        """Run a job to which these answers are given, and then those of the stand-in's own rules."""
        rendered = [RENDERERS[self.name]("Title", answer) for answer in answers]
        self.attempts.behave(script=[{"content": content} for content in rendered])
        job_id = self.attempts.submit(
            source=self.source, lines=(4, 9), edit_format=self.name, reuse=False, **options
        )
        with self.attempts.engine.begin() as connection:
            policy = f'{{"repairs": {self.repairs}}}'
            connection.execute(text("UPDATE projects SET policy = :policy"), {"policy": policy})
        return self.attempts.run(job_id)

    def messages(self) -> list[list[dict[str, Any]]]:
        """Give the messages of each call."""
        with self.attempts.engine.begin() as connection:
            return [row[0] for row in connection.execute(text("SELECT messages FROM calls ORDER BY number"))]

    def rungs(self) -> list[tuple[str, str]]:
        """Give who was asked, and why."""
        return [(rung, model) for rung, model, _ in self.attempts.calls()]


@each_format
def test_at_most_two_rounds_are_made_and_then_the_stronger_model_is_asked(
    attempts: Attempts, name: str
) -> None:
    trial = Trial(attempts, name, repairs=9)
    defaults = ("{}", "set()", "list()", "dict()")

    job = trial.run(*([trial.wrong("one", default)] for default in defaults))

    assert trial.rungs() == [("first", FLASH), ("repair", FLASH), ("repair", FLASH), ("escalation", PRO)]
    assert job["error"]["code"] == "unverified"


@each_format
def test_what_failed_is_told_with_the_block_the_lines_and_the_checkers_words(
    attempts: Attempts, name: str
) -> None:
    trial = Trial(attempts, name)

    job = trial.run([trial.wrong("one"), trial.misplaced("two")])

    assert job["outcome"] == "verified"
    first, second = trial.messages()
    answer, said = second[len(first) :]
    assert second[: len(first)] == first
    assert answer["role"] == "assistant"
    assert said["role"] == ("tool" if name == "tool" else "user")
    # The block that failed, the lines as they are, and the words of the check.
    assert "The edit puts there:\n    def one(into={}):" in said["content"]
    assert "The file has there:\n    4 | def one(into=[]):" in said["content"]
    assert re.search(r"^- finding_gone: .*B006", said["content"], flags=re.MULTILINE), said["content"]
    # The same of a block that has no place.
    assert "Block 2: not_found: " in said["content"]
    assert "def two(into=[]):" in said["content"].partition("The file has there:")[2]


@each_format
def test_two_equal_answers_end_the_rounds(attempts: Attempts, name: str) -> None:
    trial = Trial(attempts, name, repairs=2)
    wrong = [trial.wrong("one")]

    job = trial.run(wrong, wrong)

    assert trial.rungs() == [("first", FLASH), ("repair", FLASH), ("escalation", PRO)]
    assert job["outcome"] == "verified"
    assert job["skipped_rungs"] == [{"rung": "repair", "model": FLASH, "reason": "same_answer"}]


@each_format
def test_the_part_that_was_verified_is_kept_whatever_comes_later(attempts: Attempts, name: str) -> None:
    trial = Trial(attempts, name)
    later = ([trial.wrong("one"), trial.wrong("two", default)] for default in ("set()", "list()"))

    job = trial.run([trial.mended("one"), trial.wrong("two")], *later)

    assert job["outcome"] == "partial"
    with attempts.engine.begin() as connection:
        offered = connection.execute(text("SELECT status, replacement FROM suggestions")).all()
        fates = connection.execute(text("SELECT status FROM findings ORDER BY index")).scalars().all()
    assert [status for status, _ in offered] == ["verified"]
    assert "def one(into=None):" in offered[0][1]
    assert fates == ["verified", "unresolved"]


@each_format
def test_a_round_that_mends_the_rest_completes_what_was_kept(attempts: Attempts, name: str) -> None:
    trial = Trial(attempts, name)

    job = trial.run([trial.mended("one"), trial.wrong("two")], [trial.mended("two")])

    assert job["outcome"] == "verified"
    assert trial.rungs() == [("first", FLASH), ("repair", FLASH)]
