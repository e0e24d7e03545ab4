"""Whose code the cases hold: names, versions, licences and copyright notices, as the licences ask for."""

import re
import tarfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from patchmill.evaluate.cases import Case

_COPYRIGHT = re.compile(
    r"^\W*(?:\(The MIT License\)\W*)?"
    r"(copyright\b.*\d{4}.*|©.*|copyright (?:\(c\) )?(?!holder|owner|notice)\w.*\bcontributors\b.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(r"(?:licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_HEAD = """\
# Whose code the cases hold

Each case names its origin and its licence. The files that come from elsewhere are here as they
were, or without some hints or docstrings, which the case says; `gold` is such a file, mended. Their
licences are permissive and ask for these notices. What Patchmill made itself is under its own
licence.
"""


def notices(cases: Sequence[Case], *, ruff: Path, npm: Path) -> str:
    """Write the notices of everything that cases come from."""
    licences = {_source(case): case.licence for case in cases}
    parts = [_HEAD, "\n"]
    for source in sorted(name for name in licences if name != "Patchmill"):
        lines = list(dict.fromkeys(_copyrights(source, ruff, npm)))
        parts.append(f"- {source}: {licences[source]}. {' '.join(lines)}".rstrip() + "\n")
    return "".join([*parts, "\n## MIT\n\n", _MIT, "\n## BSD-3-Clause\n\n", _BSD])


def _source(case: Case) -> str:
    return case.origin.partition(":")[0].removesuffix(" (Python package)").removesuffix(" (npm package)")


def _copyrights(source: str, ruff: Path, npm: Path) -> Iterator[str]:
    name = source.partition(" ")[0]
    if source.startswith("astral-sh/ruff"):
        texts = [(ruff / "LICENSE").read_text(encoding="utf-8").partition("The externally maintained")[0]]
    elif archives := sorted(npm.glob(f"{name}-[0-9]*.tgz")):
        texts = _packed(archives[0])
    else:
        files = metadata.distribution(name).files or ()
        texts = [
            Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
            for file in files
            if _NAMED.search(file.name) and Path(str(file.locate())).is_file() and file.suffix != ".py"
        ]
    for text in texts:
        yield from (f"{found[1].strip().rstrip('.')}." for found in _COPYRIGHT.finditer(text))


def _packed(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        handles = [opened.extractfile(member) for member in opened if _NAMED.search(Path(member.name).name)]
        return [handle.read().decode("utf-8", "replace") for handle in handles if handle is not None]


_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
_BSD = """\
Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions
   and the following disclaimer in the documentation and/or other materials provided with the
   distribution.
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse
   or promote products derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR
IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF
THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""
