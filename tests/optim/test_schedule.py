import pytest

from openk2.optim import (
    WarmupStableDecay,
)


def test_warm_up_stable_decay() -> None:
    schedule = WarmupStableDecay(peak=1.0, final=0.1, warmup=4, stable=3, decay=10)
    assert [schedule(step) for step in range(7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert schedule(12) == pytest.approx(0.55)
    assert schedule(17) == schedule(1000) == pytest.approx(0.1)
