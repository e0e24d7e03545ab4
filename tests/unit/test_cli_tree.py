from pathlib import Path

import pytest

from patchmill.cli.tree import EVERY_LANGUAGE, Tree
from patchmill.errors import ConfigurationError


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("x = 1\n")
    return Tree(folder)


def test_a_file_has_one_path_however_it_is_named(tree: Tree) -> None:
    place = tree.folder / "src" / "app.py"

    for name in ("src/app.py", "./src/app.py", "src/../src/app.py", str(place), place.as_uri()):
        assert tree.relative(name) == "src/app.py"


def test_a_file_url_may_hold_escapes(tree: Tree) -> None:
    assert tree.relative((tree.folder / "a b.py").as_uri()) == "a b.py"


@pytest.mark.parametrize(
    "name", ["../other.py", "/etc/passwd", "file:///etc/passwd", "src/../../x.py", "a\0b", "", "file://%ff"]
)
def test_what_lies_outside_has_no_path(tree: Tree, name: str) -> None:
    assert tree.relative(name) is None


def test_a_folder_with_the_same_beginning_is_outside(tree: Tree) -> None:
    assert tree.relative(f"{tree.folder}-other/app.py") is None


def test_a_file_is_read_as_it_is(tree: Tree) -> None:
    content = "\ufeffa\r\nb\rc\u2028"
    (tree.folder / "odd.py").write_bytes(content.encode())

    assert tree.read("odd.py").content == content


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tree: Tree) -> None:
    (tree.folder / "latin.py").write_bytes(b"abc\xe9")

    with pytest.raises(ConfigurationError, match=r"latin\.py is not UTF-8 \(byte 4\)"):
        tree.read("latin.py")


def test_a_file_whose_name_no_service_takes_is_left_out_of_a_folder_and_refused_alone(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree.folder / "src" / "aux.py").write_text("x = 1\n")

    assert tree.find(["."], EVERY_LANGUAGE) == ["src/app.py"]
    assert capsys.readouterr().err == (
        "left out: src/aux.py has the segment aux.py, which is a device on Windows\n"
    )
    with pytest.raises(ConfigurationError, match=r"^src/aux\.py has the segment aux\.py"):
        tree.read("src/aux.py")


def test_a_link_that_leads_out_is_not_followed(tree: Tree) -> None:
    (tree.folder.parent / "secret").write_text("secret")
    (tree.folder / "link.py").symlink_to(tree.folder.parent / "secret")
    (tree.folder / "up").symlink_to(tree.folder.parent)

    for path in ("link.py", "up/secret"):
        with pytest.raises(ConfigurationError, match="leads out"):
            tree.read(path)


def test_a_link_inside_is_followed(tree: Tree) -> None:
    (tree.folder / "link.py").symlink_to("src/app.py")

    assert tree.read("link.py").content == "x = 1\n"


@pytest.mark.parametrize("path", ["missing.py", "src"])
def test_what_is_no_file_is_refused_by_name(tree: Tree, path: str) -> None:
    with pytest.raises(ConfigurationError, match=path):
        tree.read(path)


def test_a_folder_stands_for_its_sources_alone(tree: Tree) -> None:
    for name in ("web/a.ts", "node_modules/b.js", ".hidden/c.py", "src/notes.txt", "src/__pycache__/d.py"):
        (tree.folder / name).parent.mkdir(exist_ok=True)
        (tree.folder / name).write_text("")
    (tree.folder / "src" / "link.py").symlink_to("app.py")

    assert tree.find(["."], EVERY_LANGUAGE) == ["src/app.py", "web/a.ts"]
    assert tree.find(["."], {"python"}) == ["src/app.py"]


def test_a_named_file_is_found_whatever_it_is_called_and_only_once(tree: Tree) -> None:
    (tree.folder / "tool").write_text("")

    assert tree.find(["tool", "src", "src/app.py"], {"python"}) == ["tool", "src/app.py"]


def test_a_name_outside_is_a_mistake(tree: Tree) -> None:
    with pytest.raises(ConfigurationError, match="lies outside"):
        tree.find(["/etc"], EVERY_LANGUAGE)
