"""Where settings come from: the file, the environment above it, and files that hold secrets.

Each value is checked where it was written, so that a message can name it as it was written: `door.port` in the file,
`SIGNLOG_DOOR__PORT` in the environment. No message shows a value: it might be a secret in the wrong place.
"""

import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from listener.errors import ConfigurationError

PREFIX: Final = "SIGNLOG_"
FILE: Final = "signlog.toml"
MOST_BYTES: Final = 1024 * 1024  # of a file; a configuration has a few kilobytes
_FROM_FILE: Final = "_file"
_WORDS: Final = {bool: "true or false", str: 'a text, written "…"', tuple: 'a list of texts, written ["…", "…"]'}

Place = tuple[str, ...]
Layer = dict[Place, Any]


class Form(NamedTuple):
    """What can be configured: the struct at the root, whose sections are structs too, and which keys are secrets."""

    root: type[msgspec.Struct]
    secrets: frozenset[str]

    def type_at(self, place: Place) -> Any:
        """The type of the key or section at a place, None if there is none."""
        found: Any = self.root
        for key in place:
            if typing.get_origin(found) is dict:
                found = typing.get_args(found)[1]
            else:
                found = typing.get_type_hints(found, include_extras=True).get(key) if _is_struct(found) else None
        return found

    def is_section(self, place: Place) -> bool:
        """Whether keys stand below it, and no value."""
        found = self.type_at(place)
        return _is_struct(found) or typing.get_origin(found) is dict

    def every(self, section: Place = ()) -> Iterator[Place]:
        """Every key in a section and below it; NAME stands for a name that is free."""
        found = self.type_at(section)
        names = found.__struct_fields__ if _is_struct(found) else ("NAME",)
        for place in ((*section, name) for name in names):
            yield from self.every(place) if self.is_section(place) else [place]


def merged(form: Form, config: Path | None, env: Mapping[str, str]) -> dict[str, Any]:
    """What is set, as a tree. Raises ConfigurationError."""
    if config is None and env.get(PREFIX + "CONFIG"):
        config = Path(env[PREFIX + "CONFIG"])
    tree: dict[str, Any] = {}
    for place, value in {**_from_file(form, config), **_from_environment(form, env)}.items():
        branch = tree
        for name in place[:-1]:
            branch = branch.setdefault(name, {})
        branch.setdefault(place[-1], value)
    return tree


def _from_file(form: Form, config: Path | None) -> Layer:
    path = config or Path(FILE)
    if config is None and not path.exists():
        return {}
    layer: Layer = {}
    try:
        _take(form, layer, (), tomllib.loads(_read(path, str(path))))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: this is not TOML: {error}; texts stand in quotes") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: brackets in brackets without end; is it the right file?") from None
    return layer


def _take(form: Form, layer: Layer, section: Place, tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        place = (*section, key)
        if not form.is_section(place):
            _put(form, layer, place, value, ".".join)
        elif not isinstance(value, dict):
            below = ".".join(next(form.every(place)))
            raise ConfigurationError(f"{'.'.join(place)}: this is a section; set its keys, such as {below}")
        else:
            _take(form, layer, place, value)
            if not value:
                layer[place] = {}


def _from_environment(form: Form, env: Mapping[str, str]) -> Layer:
    """SIGNLOG_DOOR__PORT=1 as door.port."""
    layer: Layer = {}
    for name, text in env.items():
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        place = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if form.is_section(place):
            below = _variable(next(form.every(place)))
            raise ConfigurationError(f"{name}: this is a section; set its keys, such as {below}")
        _put(form, layer, place, _parsed(name, text, _plain(form.type_at(place))), _variable)
    return layer


def _variable(place: Place) -> str:
    return PREFIX + "__".join(place).upper()


def _parsed(name: str, text: str, plain: Any) -> Any:
    """What a text in the environment stands for; itself if it does not fit."""
    if plain is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if plain is int:
        return int(text) if text.isascii() and text.isdecimal() else text
    if plain is not tuple:
        return text
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError:
        raise ConfigurationError(f'{name}: not a JSON list of texts; write ["…", "…"], or …,… with a comma') from None


def _put(form: Form, layer: Layer, place: Place, value: Any, spell: Callable[[Place], str]) -> None:
    name = spell(place)
    secret = (*place[:-1], place[-1].removesuffix(_FROM_FILE))
    if secret != place and secret[-1] in form.secrets and form.type_at(secret) is not None:
        place, value = secret, _secret(name, value, _plain(form.type_at(secret)) is tuple)
    hint = form.type_at(place)
    if hint is None:
        raise ConfigurationError(f"{name}: there is no such key; {_instead(form, place, value, spell)}")
    if place in layer:
        raise ConfigurationError(f"{name}: set twice, as a value and as a file or in two spellings; write it once")
    layer[place] = _checked(name, value, hint)


def _secret(name: str, path: Any, several: bool) -> Any:
    """What a file holds, one value a line. Its path is not shown: it may be the secret itself, in the wrong key."""
    lines = [line.strip() for line in _read(_checked(name, path, str), name).splitlines() if line.strip()]
    if not lines or (len(lines) > 1 and not several):
        wanted = "one value a line" if several else "one value on one line"
        raise ConfigurationError(f"{name}: the file holds {len(lines)} values; write {wanted}")
    return lines if several else lines[0]


def _read(path: Path | str, name: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "this is no path"
        raise ConfigurationError(f"{name}: the file cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{name}: the file has more than {MOST_BYTES} bytes; is it the right one?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name}: the file is no text in UTF-8; is it the right one?") from None


def _checked(name: str, value: Any, hint: Any) -> Any:
    try:
        found = msgspec.convert(value, hint)
    except msgspec.ValidationError:
        raise ConfigurationError(f"{name}: must be {_words(hint)}") from None
    texts = found if isinstance(found, tuple) else (found,)
    for text in texts:
        if text == "" or (isinstance(text, str) and "\0" in text):
            what = "an entry" if texts is found else "the value"
            raise ConfigurationError(f"{name}: {what} is empty or holds a NUL; leave it out, or write something")
    return found


def _words(hint: Any) -> str:
    """What a value must be."""
    plain = _plain(hint)
    if plain is not int:
        return _WORDS[plain]
    bounds = next(bound for bound in typing.get_args(hint) if isinstance(bound, msgspec.Meta))
    return f"a whole number from {bounds.ge}" + (f" to {bounds.le}" if bounds.le is not None else "")


def _plain(hint: Any) -> Any:
    """bool, int, str or tuple, whatever stands around it; None for no key."""
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else typing.get_origin(hint) or hint


def _instead(form: Form, place: Place, value: Any, spell: Callable[[Place], str]) -> str:
    """The nearest key: in the same section, or of the same name elsewhere."""
    depth = next((depth for depth in range(1, len(place)) if not form.is_section(place[:depth])), len(place)) - 1
    section, key = place[:depth], place[depth]
    found = form.type_at(section)
    names = found.__struct_fields__ if _is_struct(found) else ()
    if near := difflib.get_close_matches(key, names, 1):
        whole = (*section, *near, *place[depth + 1 :])
        return f"did you mean {spell(whole if form.type_at(whole) is not None else (*section, *near))}?"
    if isinstance(value, dict) and not section:
        return f"did you mean [sources.{key}]?"
    if namesakes := [other for other in form.every() if other[-1] == place[-1]]:
        return f"did you mean {' or '.join(map(spell, namesakes))}?"
    return f"known here: {', '.join(spell((*section, name)) for name in names)}"


def _is_struct(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, msgspec.Struct)
