"""Recipes: TOML read strictly into frozen dataclasses that live with their consumers."""

from openk2.config.recipe import RecipeError, read_recipe

__all__ = ["RecipeError", "read_recipe"]
