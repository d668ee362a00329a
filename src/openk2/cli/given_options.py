"""`given_options`: what the user wrote on the command line, as opposed to defaults."""

import typer


def given_options(context: typer.Context) -> list[str]:
    """The names of the parameters given on the command line, and not by the environment."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
