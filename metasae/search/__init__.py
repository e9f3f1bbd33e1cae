"""From combinations of meta-latents to the patterns they reach: engine, jobs, controls.

Called, it is the search itself: ``metasae.search(experiment)``, see `exhaustive.search`. A package
and a function of one name can't both be attributes of ``metasae``, so the package is callable.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from metasae.search.exhaustive import search

        return search(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
