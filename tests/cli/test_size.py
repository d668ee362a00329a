import pytest
import typer
from typer.testing import CliRunner

from openk2.cli.main import app
from openk2.cli.size import read_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 << 30),
        ("1.5 gib", 3 << 29),
        ("500MB", 500_000_000),
        ("2TiB", 2 << 40),
        ("7", 7),
        ("1kB", 1000),
    ],
)
def test_units_are_of_1000_or_of_1024(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "4 gigs", "-1GiB", "0GiB", "1e9", "nan", "4GiB4", "٤GB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="give a number and a unit, as in 4GiB"):
        read_size(text)


def test_the_command_refuses_a_size_it_cannot_read_and_one_that_no_machine_has() -> None:
    wrong = CliRunner().invoke(app, ["serve", "--cache-memory", "lots"])
    assert (wrong.exit_code, "as in 4GiB" in wrong.stderr) == (2, True)
    command = ["serve", "--port", "0", "--max-batch", "1000000000", "--cache-memory", "900000TiB"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "lower the cache memory (--cache-memory) to at most" in result.stderr
