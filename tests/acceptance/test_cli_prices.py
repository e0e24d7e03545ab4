"""The command `prices` on a host: listed, added, imported."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from patchmill.cli.price_files import NEEDED, read_prices
from patchmill.store.tables import audit, prices
from tests.support.command import Command, run_process

RATES = ["--input", "0.14", "--cached", "0.0028", "--output", "0.28"]
NUMBER = {
    "model": "a",
    "input_usd_per_million": 0.14,
    "cached_usd_per_million": "1",
    "output_usd_per_million": "1",
}
HEADER = "model,input_usd_per_million,cached_usd_per_million,output_usd_per_million,peak,valid_from,source"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {"PATCHMILL_DATABASE_URL": database_url, "PATCHMILL_DATA_DIR": str(tmp_path)}


def listed(patchmill: Command, settings: dict[str, str]) -> list[dict[str, Any]]:
    done = patchmill("prices", "--json", settings=settings)
    assert done.code == 0, done.talk
    documents: list[dict[str, Any]] = json.loads(done.data)
    return documents


def test_a_price_is_added_and_listed(patchmill: Command, settings: dict[str, str], engine: Engine) -> None:
    none = patchmill("prices", settings=settings)
    assert (none.code, none.data) == (0, "")
    assert "`patchmill prices add` adds one" in none.talk

    first = patchmill("prices", "add", "flash", *RATES, "--source", "a page", settings=settings)
    peak = ["--peak", "Asia/Shanghai 9-12,14-18", "--from", "2999-01-01"]
    second = patchmill("prices", "add", "flash", *RATES, *peak, "--json", settings=settings)

    assert (first.code, first.data) == (0, "")
    assert first.talk.startswith("added: flash: input $0.14, cached $0.0028, output $0.28 a million, from ")
    assert json.loads(second.data)["status"] == "upcoming"
    current, upcoming = listed(patchmill, settings)
    assert (current["status"], current["source"]) == ("current", "a page")
    assert upcoming["peak"] == {"time_zone": "Asia/Shanghai", "hours": ["9-12", "14-18"]}
    head, line, other = patchmill("prices", settings=settings).data.splitlines()
    assert head.split() == [
        "STATUS",
        "MODEL",
        "INPUT",
        "CACHED",
        "OUTPUT",
        "FROM",
        "(UTC)",
        "UNTIL",
        "HOURS",
        "SOURCE",
    ]
    assert line.split()[:5] == ["current", "flash", "0.14", "0.0028", "0.28"]
    assert other.split()[5:9] == ["2999-01-01", "-", "9-12,14-18", "Asia/Shanghai"]
    assert patchmill("prices", "--model", "pro", settings=settings).data == ""
    with engine.connect() as connection:
        told = connection.execute(select(audit.c.actor, audit.c.action, audit.c.subject)).all()
    assert [tuple(row) for row in told] == [("host", "price.add", "prc_1"), ("host", "price.add", "prc_2")]


def test_the_first_price_of_a_model_that_may_be_misspelled_says_so(
    patchmill: Command, settings: dict[str, str]
) -> None:
    typo = patchmill("prices", "add", "deepseek-v4-flas", *RATES, settings=settings)
    right = patchmill("prices", "add", "deepseek-v4-flash", *RATES, settings=settings)
    again = patchmill("prices", "add", "deepseek-v4-flas", *RATES, settings=settings)

    assert "if deepseek-v4-flash was meant, add it for that" in typo.talk
    assert (typo.code, right.talk.count("\n"), again.talk.count("\n")) == (0, 1, 1)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (["--input", "-1"], "--input: must be US dollars for a million tokens, such as 0.14: below zero"),
        (["--cached", "NaN"], "--cached: must be"),
        (["--output", "1e3"], "--output: must be"),
        (["--input", "0.0000001"], "--input: must be"),
        (["--input", "99999999999"], "--input: must be"),
        (["--input", ""], "--input: is missing"),
        (["--from", "yesterday"], "--from: must be a time"),
        (["--from", "2026-02-01", "--until", "2026-01-01"], "--until: must be later than the beginning"),
        (["--peak", "Mars/Olympus 9-18"], "--peak: 'Mars/Olympus' is not the name of a time zone"),
        (["--peak", "UTC 9-25"], "--peak: '9-25' is not hours of a day"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_adds_nothing(
    patchmill: Command, settings: dict[str, str], changed: list[str], sentence: str
) -> None:
    done = patchmill("prices", "add", "flash", *RATES, *changed, settings=settings)

    assert (done.code, done.data) == (2, "")
    assert done.talk.startswith(f"patchmill: {sentence}")
    assert done.talk.count("\n") == 1
    assert listed(patchmill, settings) == []


def test_a_file_is_imported_and_what_is_there_is_left_out(
    patchmill: Command, settings: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(
        f"{HEADER}\nflash,0.14,0.0028,0.28,,2026-01-01,a page\n"
        'flash,0.28,0.0056,0.56,"Asia/Shanghai 9-12,14-18",2026-01-01T00:00:00Z,\n'
    )

    dry = patchmill("prices", "import", str(file), "--dry-run", settings=settings)
    assert dry.talk.splitlines()[-1] == "2 prices would be added"
    assert listed(patchmill, settings) == []
    done = patchmill("prices", "import", str(file), settings=settings)
    again = patchmill("prices", "import", str(file), settings=settings)

    assert (done.code, done.talk.splitlines()[-1]) == (0, "2 prices added")
    assert again.talk.splitlines()[-1] == "0 prices added; 2 rows there already"
    plain, peak = listed(patchmill, settings)
    assert (plain["source"], peak["source"]) == ("a page", "operator")
    assert peak["peak"] == {"time_zone": "Asia/Shanghai", "hours": ["9-12", "14-18"]}


def test_what_is_listed_as_json_is_imported_elsewhere(
    patchmill: Command, settings: dict[str, str], empty_database_url: str
) -> None:
    words = [*RATES, "--peak", "Asia/Shanghai 22-6", "--until", "2999-01-01"]
    patchmill("prices", "add", "flash", *words, settings=settings)
    listing = patchmill("prices", "--json", settings=settings).data
    elsewhere = settings | {"PATCHMILL_DATABASE_URL": empty_database_url}
    assert patchmill("migrate", settings=elsewhere).code == 0

    done = run_process("prices", "import", "-", settings=elsewhere, entering=listing)

    assert (done.code, done.talk.splitlines()[-1]) == (0, "1 price added")
    ignored = {"id": None}
    assert listed(patchmill, settings)[0] | ignored in [
        each | ignored for each in listed(patchmill, elsewhere)
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            f"{HEADER}\nflash,1,1,1,,,\n,1,1,1,,,\npro,x,1,1,,,\n\npro,1,1,1,UTC 9,,\npro,1,1,1,,soon,\n",
            [
                "line 3: model: is missing",
                "line 4: input_usd_per_million: must be",
                "line 6: peak: '9' is not hours",
                "line 7: valid_from: must be a time",
                "patchmill: 4 lines of 5 cannot be used; nothing was added",
            ],
        ),
        (
            f"{HEADER},discount\nflash,1,1,1,,,,5\n",
            ["patchmill: the prices, line 1: there is no field 'discount'"],
        ),
        (
            f"{HEADER}\nflash,1,1,1,,,,5\n",
            ["line 2: has more columns than the header; a field with commas", "patchmill: 1 line"],
        ),
        ("model;peak\nflash;\n", ["patchmill: the prices are neither a JSON list nor CSV"]),
        ("", ["patchmill: the prices are neither a JSON list nor CSV"]),
        ("hello\nworld\n", ["patchmill: the prices are neither a JSON list nor CSV"]),
        ('{"model": "flash"}', ["patchmill: the prices must be a JSON list"]),
        ("[\n{},\n5,\n {", ["patchmill: the prices are not JSON from line 4 on"]),
        ("[{} {}]", ["patchmill: the prices are not JSON from line 1 on"]),
        ("[", ["patchmill: the prices are not JSON from line 1 on"]),
        (f'[\n{{"model": {"9" * 5_000}}}]', ["patchmill: the prices are not JSON from line 2 on: "]),
        (
            f"[{json.dumps(NUMBER | {'model': chr(0xD800)})}]",
            ["line 1: model: has a character that cannot", "patchmill: 1 line"],
        ),
        (
            f"{HEADER}\nflash,1,1,1,,0001-01-01,\nflash,1,1,1,localtime 9-18,,\n",
            ["line 2: valid_from: lies outside", "line 3: peak: 'localtime' is not", "patchmill: 2 lines"],
        ),
        (
            f"[\n{json.dumps(NUMBER)},\n\n{json.dumps({'model': ['a']})},\n7]",
            [
                'line 2: input_usd_per_million: must be a decimal number in quotes, such as "0.14"',
                "line 4: input_usd_per_million: is missing",
                "line 5: there is no field '7'",
                "patchmill: 3 lines of 3",
            ],
        ),
    ],
)
def test_every_bad_line_is_named_and_nothing_is_added(
    patchmill: Command, settings: dict[str, str], tmp_path: Path, text: str, sentences: list[str]
) -> None:
    file = tmp_path / "prices"
    file.write_text(text)

    done = patchmill("prices", "import", str(file), settings=settings)

    assert (done.code, done.data) == (2, "")
    told = done.talk.splitlines()
    assert [line[: len(sentence)] for line, sentence in zip(told, sentences, strict=True)] == sentences
    assert listed(patchmill, settings) == []


def test_a_long_list_is_read_in_time_that_grows_as_it_does() -> None:
    entry = json.dumps(dict.fromkeys(NEEDED, "1"))

    read = read_prices(f"[{', '.join([entry] * 20_000)}]", datetime.now(UTC))

    assert (len(read.rows), read.wrong) == (20_000, [])


def test_the_list_is_only_added_to(engine: Engine, patchmill: Command, settings: dict[str, str]) -> None:
    for rate in ("1", "2"):
        patchmill("prices", "add", "flash", *RATES, "--input", rate, settings=settings)

    assert [each["status"] for each in listed(patchmill, settings)] == ["current", "past"]
    with engine.connect() as connection:
        assert connection.scalars(select(prices.c.input_picos).order_by(prices.c.id)).all() == [
            10**6,
            2 * 10**6,
        ]
