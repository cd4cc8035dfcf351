"""The text of `--help`, from the docstrings below the fields of a config.

tyro 1.0.17 breaks a line of help wherever the docstring has a line break. So tyro gets
each text as one line.
"""

import dataclasses
import typing
from typing import Annotated, Any


def with_help_in_one_line(config_class: type) -> Any:
    """A copy of a dataclass for tyro to show the help of; it checks nothing."""
    import tyro

    hints = typing.get_type_hints(config_class, include_extras=True)
    texts = _texts(config_class)
    fields = [
        (
            field.name,
            Annotated[hints[field.name], tyro.conf.arg(help=texts.get(field.name))],
            _like(field),
        )
        for field in dataclasses.fields(config_class)
    ]
    return dataclasses.make_dataclass(
        config_class.__name__, fields, namespace={"__doc__": config_class.__doc__}
    )


def first_sentence(config_class: type) -> str:
    """The first line of a config's docstring."""
    return (config_class.__doc__ or "").strip().partition("\n")[0]


def _like(field: dataclasses.Field[Any]) -> Any:
    """A field with the same default."""
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory)
    return dataclasses.field(default=field.default)


def _texts(config_class: type) -> dict[str, str]:
    """The text of each field that has one; a subclass's hides its parent's."""
    import docstring_parser

    return {
        param.arg_name: " ".join(param.description.split())
        for parent in reversed(config_class.__mro__[:-1])
        for param in docstring_parser.parse_from_object(parent).params
        if param.description
    }
