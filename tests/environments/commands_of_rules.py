"""Which environment each rule's commands run in, and what they import."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from repository_copy import ROOT

RULES = ROOT / "workflow/rules"
COMMAND = re.compile(r"-m (recscale\.[\w.]+)")
# A command that is started by site.smk: by python or by a launcher.
STARTED = "{resources.start} "


def blocks() -> Iterator[str]:
    """Each rule's text: all that are written down, also where the config chooses among them."""
    for path in sorted(RULES.glob("*.smk")):
        yield from re.split(r"^ *(?=rule \w+:)", path.read_text(), flags=re.M)[1:]


def commands_of_environments() -> dict[str | None, set[str]]:
    """The modules that rules run, by the stem of the environment's file.

    None: those of rules that name no environment, and run in Snakemake's own.
    """
    launchers = set(COMMAND.findall((RULES / "site.smk").read_text()))
    found: dict[str | None, set[str]] = {}
    for block in blocks():
        environment = re.search(r'^ *conda:\n *"\.\./\.\./envs/(\w+)\.yaml"', block, flags=re.M)
        commands = set(COMMAND.findall(block))
        if STARTED in block:
            commands |= launchers
        if environment or commands:
            found.setdefault(environment and environment[1], set()).update(commands)
    return found


@cache
def functions_of_the_rules() -> dict[str, Any]:
    """The functions of common.smk, which is Python; without its checks of a config."""
    tree = ast.parse((RULES / "common.smk").read_text())
    kept = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom | ast.FunctionDef)]
    place = {"ROOT": ROOT}
    exec(compile(ast.Module(kept, []), "common.smk", "exec"), place)
    return place


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers read."""
    yield tree
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from executed(node)


def imports(command: str) -> set[str]:
    """The import statements that a command reaches, inside functions too.

    Those of the standard library are left out.
    """
    found = set()
    # The files that the rules themselves name as the code of a command.
    for file in functions_of_the_rules()["code_files"](command.removeprefix("recscale.")):
        for node in executed(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Import):
                tops = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                tops = [node.module.split(".")[0]]
            else:
                continue
            if not set(tops) <= sys.stdlib_module_names:
                found.add(ast.unparse(node))
    return found


def environments() -> list[str]:
    """The stems of envs/*.yaml."""
    return sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
