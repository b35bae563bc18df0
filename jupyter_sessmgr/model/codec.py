"""Nouns as plain values that JSON can say, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def to_plain(value: Any) -> Any:
    """Turn a model's value into what JSON can say.

    Raises
    ------
    TypeError
        for a type that no model has.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {key: to_plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [to_plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"no way to store a {type(value).__name__}")


def from_plain(hint: Any, plain: Any) -> Any:
    """Turn what `to_plain` made back into a value of the type `hint`.

    Of a dataclass, keys that are unknown are ignored, and keys that are missing have their
    defaults: so rows written by a later or an earlier release of the same schema can be read.

    Raises
    ------
    ValueError
        when `plain` is not of that type.
    """
    origin = get_origin(hint)
    if origin is Literal:
        return _checked(plain, plain in get_args(hint), hint)
    if origin in (Union, UnionType):
        return _from_optional(hint, plain)
    if is_dataclass(hint):
        return _from_object(hint, _object(plain))
    if origin is tuple:
        return tuple(from_plain(get_args(hint)[0], one) for one in _list(plain))
    if origin is not None and issubclass(origin, Mapping):
        one_of = get_args(hint)[1]
        return MappingProxyType({k: from_plain(one_of, v) for k, v in _object(plain).items()})
    return _from_scalar(hint, plain)


def _from_optional(hint: Any, plain: Any) -> Any:
    if plain is None:
        return _checked(plain, NoneType in get_args(hint), hint)
    (of,) = (one for one in get_args(hint) if one is not NoneType)
    return from_plain(of, plain)


def _from_object(cls: Any, plain: Mapping[str, Any]) -> Any:
    hints = _hints(cls)
    missing = [field.name for field in fields(cls) if field.name not in plain and _required(field)]
    if missing:
        raise ValueError(f"a {cls.__name__} without {missing[0]}")
    return cls(**{name: from_plain(hints[name], plain[name]) for name in hints if name in plain})


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


@cache
def _hints(cls: type) -> Mapping[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _from_scalar(hint: Any, plain: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(plain)
    if hint is Decimal:
        return _decimal(plain)
    if hint is bool:
        return bool(_checked(plain, plain in (0, 1), hint))
    if hint is float:
        return float(_checked(plain, isinstance(plain, int | float), hint))
    return _checked(plain, type(plain) is hint, hint)


def _decimal(plain: Any) -> Decimal:
    try:
        return Decimal(str(plain))
    except InvalidOperation as error:
        raise ValueError(f"not a number: {plain!r:.60}") from error


def _checked(plain: Any, right: bool, hint: Any) -> Any:
    if not right:
        raise ValueError(f"not {hint}: {plain!r:.60}")
    return plain


def _object(plain: Any) -> dict[str, Any]:
    return dict(_checked(plain, isinstance(plain, Mapping), "an object"))


def _list(plain: Any) -> list[Any]:
    return list(_checked(plain, isinstance(plain, list), "a list"))
