"""The overview of commands and what is in it."""

import pytest
from typer.testing import CliRunner

from openk2.cli.main import SUBCOMMANDS, app


def test_the_overview_lists_every_command():
    output = CliRunner().invoke(app, ["--help"]).output
    assert all(f"  {name} " in output for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_exists_and_shows_its_help(name):
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert name in result.output


def test_an_unknown_command_is_a_usage_error():
    result = CliRunner().invoke(app, ["chta"])
    assert result.exit_code == 2
    assert "chta" in result.stderr
