"""Normalize-and-Project and effective-learning-rate re-warming for optax.

Public names are listed in ``_api``, and loaded when one is first used: what is imported
right after optax pays for a collection of all of optax's objects, as soon as it makes
some of its own.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nap_optax._api import *  # noqa: F403
    from nap_optax._api import __all__ as __all__
else:

    def __getattr__(name):
        import importlib

        if name == "__version__":
            return importlib.import_module("importlib.metadata").version("nap-optax")
        try:
            # A module by itself, so that modules can import each other.
            value = importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            api = importlib.import_module(f"{__name__}._api")
            if not hasattr(api, name):
                text = f"module {__name__!r} has no attribute {name!r}"
                raise AttributeError(text) from None
            value = getattr(api, name)
        globals()[name] = value
        return value

    def __dir__():
        return __getattr__("__all__")
