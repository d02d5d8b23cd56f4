"""A nested configuration as one level."""

from __future__ import annotations

from typing import Any


def flatten(tree: object, *, into_lists: bool = False, prefix: str = "") -> dict[str, Any]:
    """Write a nested configuration as dotted keys and values.

    Parameters
    ----------
    tree : object
        Dicts, lists and plain values.
    into_lists : bool
        Name the elements of a list by their number; else a list is one value.
    prefix : str
        Before every key.
    """
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, list) and into_lists:
        items = list(enumerate(tree))
    else:
        return {prefix[:-1]: tree}
    return {
        path: leaf
        for key, value in items
        for path, leaf in flatten(value, into_lists=into_lists, prefix=f"{prefix}{key}.").items()
    }
