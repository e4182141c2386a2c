"""What a job's command line says of its config and its seeds."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

# Where the command proper ends, and what it prints goes to its log.
_ENDS = (">", "2>", "|", "2>&1", "&&", ";")


def config_of(command: str | None) -> dict[str, Any]:
    """The flags of `python -m MODULE` that name no file, `settings` parsed from its JSON.

    A flag of one value has that value, one of several a list, one of none True; a flag whose values
    are all files is left out.
    """
    flags: dict[str, list[str]] = {}
    flag = None
    for word in _words(command or ""):
        if word in _ENDS:
            break
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            flags[flag] = [value] if equals else []
        elif flag is not None:
            flags[flag].append(word)
    config: dict[str, Any] = {}
    for name, values in flags.items():
        kept = [_value(name, value) for value in values if not _names_a_file(value)]
        if values and not kept:
            continue
        config[name] = True if not kept else kept[0] if len(kept) == 1 else kept
    return config


def config_hash(command: str | None) -> str:
    """The SHA-256 of a command's config: equal for equal values in any order."""
    text = json.dumps(config_of(command), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seeds_of(command: str | None) -> dict[str, Any]:
    """The values in a command's config whose key speaks of seeds, by their dotted key."""
    found: dict[str, Any] = {}

    def look(value: Any, where: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                look(inner, f"{where}.{key}" if where else str(key))
        elif "seed" in where.rpartition(".")[2]:
            found[where.removeprefix("settings.")] = value

    look(config_of(command), "")
    return found


def code_hash(sources: Mapping[str, str]) -> str:
    """The SHA-256 of source files: of their paths and hashes, in the order of their paths."""
    text = "".join(f"{path} {sources[path]}\n" for path in sorted(sources))
    return hashlib.sha256(text.encode()).hexdigest()


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return words[words.index("-m") + 1 :] if "-m" in words else words


def _names_a_file(value: str) -> bool:
    # A path, or a part of `$(dirname PATH)`; settings and addresses have slashes too.
    is_text = value.startswith(("{", "[")) or "://" in value
    return value.startswith("$(") or ("/" in value and not is_text)


def _value(flag: str, value: str) -> Any:
    if flag != "settings":
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
