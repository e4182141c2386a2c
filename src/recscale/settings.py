"""Typed settings of a command, parsed from the JSON that a workflow rule passes on.

A command takes `--settings JSON`, which holds just the config values it reads. Each command states
them as a frozen dataclass; a key the dataclass lacks, a missing one or one of another type is
refused by name.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

from recscale.errors import UserError

T = TypeVar("T")


def parse(cls: type[T], text: str) -> T:
    """Build the dataclass `cls` from a JSON object.

    Raises:
        UserError: the text is not JSON, or a key is unknown, missing or of the wrong type.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"--settings is not JSON ({error})", "pass one JSON object in single quotes"
        ) from None
    return build(cls, values, where="settings")


def build(cls: type[T], values: Any, where: str) -> T:
    """Build the dataclass `cls` from a mapping; `where` names the mapping in error messages."""
    if not isinstance(values, dict):
        raise UserError(f"{where} is {values!r}", f"it must be a mapping for {cls.__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise UserError(f"{where} has the unknown key {key!r}", f"known: {', '.join(fields)}")
    hints = typing.get_type_hints(cls)
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _convert(hints[name], values[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where} lacks the key {name!r}", "add it to the config")
    return cls(**arguments)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        rest = [a for a in arguments if a is not type(None)]
        return _convert(rest[0], value, where)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} is {value!r}", "it must be a list")
        return tuple(_convert(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} is {value!r}", "it must be a mapping")
        return {k: _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{where} is {value!r}", f"it must be of type {hint.__name__}")
    return value
