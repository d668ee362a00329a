from pathlib import Path

from openk2.optim import WarmupStableDecay
from openk2.train.identity import Identity
from openk2.train.recipe import DataPart, Recipe


def test_the_digest_of_a_recipe_is_what_saved_states_hold() -> None:
    """States on disk carry it: a change here makes them unreadable."""
    identity = Identity.of(
        Recipe(
            tokenizer=Path("t"),
            data=(DataPart(Path("d"), 1.0),),
            schedule=WarmupStableDecay(1e-2, 1e-3, 1, 2, 3),
            rows=4,
            micro_rows=2,
            start=Path("s"),
        )
    )
    assert identity.digest == "d7f054f95e3ea4655dabd2b1be111b8e0477036d2b0096365d041f3aab6ef366"
