"""The recipes of embedded data sets, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoalign.embedded.boxes import BoxRecipe
from cryoalign.embedded.micrographs import MicrographRecipe
from cryoalign.errors import choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoalign.embedded.recipe import Recipe

RECIPES: Mapping[str, type[Recipe]] = {"boxes": BoxRecipe, "micrographs": MicrographRecipe}


def recipe_of(parameters: Mapping[str, Any]) -> Recipe:
    """Make a recipe from a configuration.

    Parameters
    ----------
    parameters : mapping
        ``recipe``, one of ``boxes`` (the default) and ``micrographs``, and the parameters of
        `cryoalign.embedded.boxes.BoxRecipe` or `cryoalign.embedded.micrographs.MicrographRecipe`; ``ice``,
        ``envelope`` and ``detector`` may be mappings.

    Raises
    ------
    InputError
        If a name is unknown or a value cannot be used.
    """
    values = dict(parameters)
    name = choice("recipe", values.pop("recipe", "boxes"), tuple(RECIPES))
    return RECIPES[name].of(values)
