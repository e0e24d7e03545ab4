"""The account's slots in Redis: one script shares them among the processes that report.

What Redis holds is scoped as its queues are: by the database number. Losing it costs nothing but a moment
without new grants.
"""

import json
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from patchmill.job.slots import SlotReport, SlotShare, SlotUse

KEY = "patchmill:slots"
ANSWER_TIMEOUT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTimes:
    """How long things take, in seconds.

    A process that is silent for `lease_s` loses its slots. After a loss of Redis's data nobody gets more for
    `settle_s`: in that time every process that lives has reported. A limit that was cut grows by one each
    `grow_s`. Where there are fewer slots than processes that want one, the next are served after `turn_s`.
    """

    lease_s: float = 5.0
    settle_s: float = 2.0
    grow_s: float = 10.0
    turn_s: float = 2.0
    keep_s: float = 3600.0  # without any report

    def as_argument(self) -> str:
        """Give them as the script reads them: in milliseconds."""
        return json.dumps({name.removesuffix("_s"): round(of * 1000) for name, of in asdict(self).items()})


class SlotLeases:
    """The slots of one installation, as Redis knows them; may be used from any thread."""

    def __init__(self, redis_url: str, *, times: SlotTimes | None = None) -> None:
        self.times = times or SlotTimes()
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=ANSWER_TIMEOUT_S,
            socket_connect_timeout=ANSWER_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        source = resources.files("patchmill.queue").joinpath("slots.lua").read_text(encoding="utf-8")
        self._share = self._redis.register_script(source)
        self._times = self.times.as_argument()

    def share(self, process: str, report: SlotReport, *, cap: int, mark: str) -> SlotShare:
        """Report a process's slots and learn its share; `mark` is the last that it was told, or empty.

        Raises:
            RedisError: Redis did not answer; it may have taken the report all the same.
        """
        told = {"id": process, "cap": cap, "mark": mark, **asdict(report)}
        return SlotShare(**self._run(told))

    def leave(self, process: str, *, cap: int) -> None:
        """Give back what a process holds, since it ends.

        Raises:
            RedisError: Redis did not answer; the lease runs out.
        """
        self._run({"id": process, "cap": cap, "mark": "", "leaves": True})

    def use(self) -> SlotUse | None:
        """Look at the slots of all processes; None when no process has reported lately.

        Raises:
            RedisError: Redis did not answer.
        """
        state, living = self._living()
        if not living:
            return None
        cap = min(each["cap"] for each in living.values())
        used = sum(each["used"] for each in living.values())
        return SlotUse(limit=min(cap, state.get("limit", cap)), used=used)

    def held(self) -> dict[str, int]:
        """Say how many slots each process holds that has reported lately, by the name that it reports under.

        Raises:
            RedisError: Redis did not answer.
        """
        _, living = self._living()
        return {process: each["held"] for process, each in living.items()}

    def _living(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Read what is stored, and of it the processes whose lease has not run out."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.get(KEY)
        pipeline.time()
        stored, (seconds, micros) = pipeline.execute()
        if stored is None:
            return {}, {}
        state = json.loads(stored)
        now = seconds * 1000 + micros // 1000
        processes = dict(state["processes"])
        return state, {name: each for name, each in processes.items() if each["ends"] > now}

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def _run(self, told: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._share(keys=[KEY], args=[json.dumps(told), self._times]))
        return answer
