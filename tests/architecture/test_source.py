# SPDX-License-Identifier: Apache-2.0
"""House rules that a linter cannot see, read from the source."""

from __future__ import annotations

import ast
import functools
import os

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
LICENCE = "# SPDX-License-Identifier: Apache-2.0"
MODULE_LINES, FUNCTION_LINES, FUNCTION_LINES_P95 = 500, 80, 45
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
MUTATORS = {"append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
BARRED = {"os.system", "os.popen", "eval", "exec", "compile", "pickle.load", "pickle.loads", "marshal.loads"}


def sources(*folders: str) -> list[str]:
    found = []
    for folder in folders:
        for at, _, names in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.relpath(os.path.join(at, name), ROOT) for name in names if name.endswith(".py")]
    return sorted(found)


@functools.cache
def text(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


@functools.cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path))


SRC = sources("src")
EVERYTHING = SRC + sources("tests", "tools", "bench", "examples")


def test_there_is_something_to_check():
    assert len(SRC) > 50


def test_every_file_starts_with_its_licence():
    assert [path for path in EVERYTHING if text(path) and text(path).split("\n", 1)[0] != LICENCE] == []


def test_every_module_says_what_it_is():
    assert [path for path in SRC if not ast.get_docstring(tree(path))] == []


def test_annotations_are_never_evaluated():
    def has_code(path: str) -> bool:
        return any(not isinstance(node, ast.Expr) for node in tree(path).body)

    wanted = "from __future__ import annotations"
    assert [path for path in EVERYTHING if has_code(path) and wanted not in text(path)] == []


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def uses(path: str, names: set[str]) -> list[str]:
    return [
        f"{path}:{node.lineno}: {dotted(node)}"
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.Attribute, ast.Name)) and dotted(node) in names
    ]


def below_cli() -> list[str]:
    return [path for path in SRC if not path.startswith("src/scow/cli/") and path != "src/scow/__main__.py"]


def below_front_doors() -> list[str]:
    return [path for path in below_cli() if path != "src/scow/engine.py"]


def test_only_the_front_doors_read_the_environment():
    """The command line, and ``Engine()`` for those who use the library without settings of their own."""
    names = {"os.environ", "os.environb", "os.getenv", "os.putenv", "environ"}
    found = [use for path in below_front_doors() for use in uses(path, names) if not use.endswith(": environ")]
    assert found == []
    imports = [
        f"{path}:{node.lineno}"
        for path in below_front_doors()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and {"environ", "getenv"} & {a.name for a in node.names}
    ]
    assert imports == []


def test_only_the_command_line_prints_and_exits():
    found = [
        f"{path}:{node.lineno}: {dotted(node.func)}"
        for path in below_cli()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and dotted(node.func) in {"print", "sys.exit", "exit", "quit"}
    ]
    assert found == []


def test_nothing_depends_on_asserts():
    found = [f"{path}:{node.lineno}" for path in SRC for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert found == []


def test_nothing_runs_text_as_a_program():
    calls = [(path, node) for path in SRC for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert [f"{path}:{node.lineno}" for path, node in calls if dotted(node.func) in BARRED] == []
    shells = [
        f"{path}:{node.lineno}"
        for path, node in calls
        for word in node.keywords
        if word.arg == "shell" and isinstance(word.value, ast.Constant) and word.value.value is True
    ]
    assert shells == []


def test_modules_are_short_and_named_after_what_they_hold():
    assert [path for path in SRC if text(path).count("\n") > MODULE_LINES] == []
    parts = {path: set(path.removesuffix(".py").split("/")) for path in SRC}
    assert [path for path, words in parts.items() if words & VAGUE] == []


def functions(path: str) -> list[tuple[int, str]]:
    return [
        (node.end_lineno - node.lineno + 1, f"{path}:{node.lineno}: {node.name}")
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def test_functions_are_short():
    every = sorted(row for path in SRC for row in functions(path))
    assert [row for row in every if row[0] > FUNCTION_LINES] == []
    assert every[len(every) * 95 // 100][0] < FUNCTION_LINES_P95


def module_containers(path: str) -> set[str]:
    """Names that a module binds to a list, dict or set of its own."""
    found = set()
    for node in tree(path).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        literal = isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp))
        made = isinstance(value, ast.Call) and dotted(value.func) in {"list", "dict", "set", "defaultdict", "deque"}
        if literal or made:
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def mutations(path: str, names: set[str]) -> list[str]:
    found = []
    for node in ast.walk(tree(path)):
        changed: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = [node.func.value]
        elif isinstance(node, (ast.Assign, ast.Delete)):
            changed = [target.value for target in node.targets if isinstance(target, ast.Subscript)]
        elif isinstance(node, ast.AugAssign):
            changed = [node.target.value if isinstance(node.target, ast.Subscript) else node.target]
        elif isinstance(node, ast.Global):
            found += [f"{path}:{node.lineno}: global {name}" for name in node.names]
        found += [
            f"{path}:{node.lineno}: {each.id}" for each in changed if isinstance(each, ast.Name) and each.id in names
        ]
    return found


@pytest.mark.parametrize("path", SRC)
def test_modules_keep_no_state(path):
    assert mutations(path, module_containers(path) - shadowed(path)) == []


def shadowed(path: str) -> set[str]:
    """Names that a function also binds for itself, which are not the module's there."""
    return {
        node.id
        for function in ast.walk(tree(path))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def test_the_scan_of_state_finds_state(tmp_path, monkeypatch):
    sample = tmp_path / "sample.py"
    sample.write_text(
        "A = {}\nB = []\nC = (1,)\n\ndef f():\n    A['x'] = 1\n    B.append(1)\n    global D\n    D = 1\n"
    )
    path = str(sample)
    assert module_containers(path) == {"A", "B"}
    assert {found.rsplit(": ", 1)[1] for found in mutations(path, {"A", "B"})} == {"A", "B", "global D"}
