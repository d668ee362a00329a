import torch

from openk2.plan.live_memory import LiveMemory


def test_memory_that_is_dropped_is_forgotten_and_a_host_copy_is_not_the_devices() -> None:
    with LiveMemory() as live:
        a = torch.zeros(100)
        b = torch.empty(100).copy_(a)
        assert (live.on_device, sum(live.alive(host=True).values())) == (400, 400)
        del a, b
        assert (live.on_device, live.blocks, live.peak) == (0, {}, 800)
