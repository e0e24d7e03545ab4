"""How the development set of `patchmill eval` is made; nobody writes its cases by hand.

`python -m benchmarks.cases --ruff FOLDER --ruff-revision NAME --npm FOLDER` writes the files of
`patchmill/evaluate/development/`: from the sources of ruff, from archives that `npm pack` gave, and from the
Python packages of the lock file. The same sources give the same cases.
"""
