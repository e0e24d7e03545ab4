from patchmill.cli.table import fitted, table

ROWS = [["model", "calls", "cost $"], ["flash", "12", "0.5"], ["pro", "3", "10.25"]]
RIGHT = range(1, 3)
WHOLE = ["model  calls  cost $", "flash     12     0.5", "pro        3   10.25"]


def test_columns_stand_below_each_other_whatever_the_width_of_a_pipe() -> None:
    assert table(ROWS, right=RIGHT) == WHOLE
    assert fitted(ROWS, right=RIGHT, width=20) == WHOLE


def test_on_a_narrow_terminal_the_head_stands_at_the_side() -> None:
    rows = [[*row, *("x" if number else "more" for _ in range(4))] for number, row in enumerate(ROWS)]

    assert fitted(rows, right=RIGHT, width=30) == [
        "model   flash    pro",
        "calls      12      3",
        "cost $    0.5  10.25",
        *["more        x      x"] * 4,
    ]


def test_where_that_is_too_wide_too_one_row_follows_the_other() -> None:
    rows = [["name", "source"], ["flash", "a page with a long name"], ["pro", "another one"]]

    assert fitted(rows, right=(), width=28) == [
        "name    flash",
        "source  a page with a long name",
        "",
        "name    pro",
        "source  another one",
    ]
