"""How an app is started: definitions, from the server or the image, filled in as data."""

from __future__ import annotations

import json
import os
import re

from .refusals import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: Where images of the Backend.AI family keep theirs.
FOLDER = "/etc/backend.ai/service-defs"
_MAX_BYTES = 64 * 1024
_MAX_DEFINITIONS = 100
_MAX_WORDS = 200
_MAX_WORD = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\[([0-9])\])?\}")
_MAX_HEADER = 200
_HEADER = re.compile(r"[ -~]*")
_ACTIONS = ("write_file", "write_tempfile", "mkdir", "log")


class Definition:
    """One app. What is wrong with it is told when it is made, naming the part.

    Parameters
    ----------
    name : str
        The app's.
    content : dict
        ``command`` (a list of words) and, where needed, ``env``, ``prestart``,
        ``allowed_arguments``, ``default_arguments``, ``positional`` (arguments of which only the
        value is given), ``allowed_envs``, ``url_template``, ``authorization`` (the header that it
        takes from its user), ``timeout`` in seconds.
    """

    def __init__(self, name: str, content: Any) -> None:
        self.name = check_name(name)
        _expect(isinstance(content, dict), "definition")
        self.command = _words(content, "command")
        _expect(bool(self.command), "command")
        self.environ = _texts(content, "env")
        self.prestart = content.get("prestart") or []
        _expect(isinstance(self.prestart, list), "prestart")
        _expect(all(_is_action(one) for one in self.prestart), "prestart")
        self.allowed_arguments = _words(content, "allowed_arguments")
        self.positional = _words(content, "positional")
        self.allowed_envs = _words(content, "allowed_envs")
        self.defaults = content.get("default_arguments") or {}
        _expect(isinstance(self.defaults, dict), "default_arguments")
        self.url_template = str(content.get("url_template") or "")[:_MAX_WORD]
        timeout = content.get("timeout", 60)
        _expect(isinstance(timeout, (int, float)) and 0 < timeout <= 600, "timeout")  # noqa: PLR2004
        self.timeout = float(timeout)
        #: It knows the path that it is reached under, and sees whole paths.
        self.whole_paths = "{base_url}" in json.dumps(content)
        self.authorization = _word(content.get("authorization") or "", "authorization")
        _expect(len(self.authorization) <= _MAX_HEADER, "authorization")
        _expect(_HEADER.fullmatch(self.authorization) is not None, "authorization")

    def describe(self) -> dict[str, Any]:
        """Tell what may be asked for."""
        return {
            "whole_paths": self.whole_paths,
            "allowed_arguments": self.allowed_arguments,
            "allowed_envs": self.allowed_envs,
            "url_template": self.url_template,
        }

    def fill(
        self, values: Mapping[str, Any], arguments: Mapping[str, Any], environ: Mapping[str, Any]
    ) -> tuple[list[str], dict[str, str]]:
        """Make the command line and the environment of one start.

        Raises
        ------
        Invalid
            for an argument or a variable that is not allowed, naming it.
        """
        argv = [fill(word, values) for word in self.command]
        given = dict(self.defaults)
        given.update(self._checked(arguments, [*self.allowed_arguments, *self.positional]))
        for name in sorted(given, key=lambda name: name in self.positional):
            argv.extend(self._argument(name, given[name], values))
        variables = {name: fill(value, values) for name, value in self.environ.items()}
        for name, value in self._checked(environ, self.allowed_envs).items():
            _expect(_VARIABLE.fullmatch(name) is not None, "environ")
            variables[name] = _word(value, "environ")
        return argv, variables

    def _checked(self, given: Mapping[str, Any], allowed: list[str]) -> Mapping[str, Any]:
        for name in given:
            if name not in allowed:
                there = ", ".join(allowed) or "none"
                raise Invalid("%s takes no %.60r; it takes: %s." % (self.name, name, there[:500]))
        return given

    def _argument(self, name: str, value: Any, values: Mapping[str, Any]) -> list[str]:
        """Write one argument as words; None stands for its name alone."""
        given = [] if value is None else value if isinstance(value, list) else [value]
        words = [fill(_word(one, name), values) for one in given]
        if name not in self.positional:
            return [name, *words]
        if any(word.startswith("-") for word in words):
            raise Invalid("%s: may not begin with a dash" % name)
        return words


def prepare(actions: list[Any], values: dict[str, Any], folder: str) -> str:
    """Do what is to be done before a start; returns lines for the log.

    A file's path goes into `values` under the action's ``ref``.
    """
    log = ""
    for number, action in enumerate(actions):
        args = action.get("args") or {}
        if action["action"] == "mkdir":
            os.makedirs(fill(_word(args.get("path"), "path"), values), exist_ok=True)
        elif action["action"] == "log":
            log += fill(_word(args.get("message"), "message"), values) + "\n"
        else:
            # Jupyter reads its settings from files with this ending only
            own = os.path.join(folder, "%d.py" % number)
            named = action["action"] == "write_file"
            path = fill(_word(args.get("filename"), "filename"), values) if named else own
            write_file(path, [fill(line, values) for line in _words(args, "body")])
            if isinstance(action.get("ref"), str):
                values[action["ref"]] = path
    return log


def write_file(path: str, lines: list[str]) -> None:
    """Write a file that only this user can read."""
    if os.path.dirname(path):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as stream:
        stream.writelines(lines)


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Put values in place of ``{name}`` and ``{name[0]}``; what is unknown stays as it is.

    The result is one word of a command line, whatever is in it: no shell reads it.
    """

    def value(match: Any) -> str:
        name, index = match.groups()
        known = values.get(name)
        if isinstance(known, list) and index is not None and int(index) < len(known):
            return str(known[int(index)])
        return str(known) if isinstance(known, (str, int)) and index is None else match[0]

    return _PLACEHOLDER.sub(value, text)


def in_image(folder: str = FOLDER) -> dict[str, Definition]:
    """Read the definitions that the image brings; those that make no sense are left out."""
    found: dict[str, Definition] = {}
    try:
        entries = sorted(os.listdir(folder))[:_MAX_DEFINITIONS]
    except OSError:
        return found
    for entry in entries:
        name, ending = os.path.splitext(entry)
        try:
            if ending == ".json":
                with open(os.path.join(folder, entry), encoding="utf-8") as stream:
                    found[name] = Definition(name, json.loads(stream.read(_MAX_BYTES)))
        except (OSError, ValueError, RecursionError, Invalid):
            continue
    return found


def check_name(name: object) -> str:
    """Return `name` when an app can be called so."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise Invalid("name: not the name of a service")
    return name


def _is_action(action: Any) -> bool:
    known = isinstance(action, dict) and action.get("action") in _ACTIONS
    return known and isinstance(action.get("args") or {}, dict)


def _words(content: Mapping[str, Any], name: str) -> list[str]:
    value = content.get(name) or []
    if name == "allowed_arguments" and isinstance(value, dict):
        value = list(value)
    _expect(isinstance(value, list) and len(value) <= _MAX_WORDS, name)
    return [_word(one, name) for one in value]


def _texts(content: Mapping[str, Any], name: str) -> dict[str, str]:
    value = content.get(name) or {}
    _expect(isinstance(value, dict) and len(value) <= _MAX_WORDS, name)
    _expect(all(_VARIABLE.fullmatch(str(key)) for key in value), name)
    return {str(key): _word(one, name) for key, one in value.items()}


def _word(value: Any, name: str) -> str:
    """Take one word: a text or a number."""
    fits = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    text = str(value) if fits else ""
    _expect(fits and "\0" not in text and len(text) <= _MAX_WORD, name)
    return text


def _expect(holds: bool, name: str) -> None:
    if not holds:
        raise Invalid("%s: missing, too long, or of the wrong type" % name)
