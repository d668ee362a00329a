"""Read TOML recipes strictly into frozen dataclasses; the dataclasses belong to their consumers."""

from openk2.config.recipe import RecipeError, build, convert, read_recipe

__all__ = [
    "RecipeError",
    "build",
    "convert",
    "read_recipe",
]
