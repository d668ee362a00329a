import pytest

from openk2.plan import Machine
from openk2.plan.machine import Ranks, in_ring, to_all


def test_messages_have_the_bytes_and_the_seconds_of_a_reckoning_by_hand() -> None:
    machine = Machine(node=8, nvlink=100.0, network=10.0)
    # 16 parts of 10 bytes: 7 go to the node at 100 a second, 8 over the network at 10.
    message = to_all(160.0, Ranks(16), machine)
    assert (message.bytes, message.seconds) == (150.0, pytest.approx(8.0))
    ring = in_ring(80.0, Ranks(8), machine)
    assert (ring.bytes, ring.seconds) == (70.0, pytest.approx(0.7))
    apart = in_ring(80.0, Ranks(8, apart=16), machine)
    assert apart.seconds == pytest.approx(7.0)
