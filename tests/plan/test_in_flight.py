import pytest

from openk2.parallel import Layout
from openk2.plan.in_flight import most_in_flight, passes


@pytest.mark.parametrize("virtual", [1, 2, 3])
def test_passes_come_in_the_order_of_torchs_schedule(virtual: int) -> None:
    from torch.distributed.pipelining.schedules import ScheduleInterleaved1F1B

    layout, micro_batches = Layout(pipeline=4, virtual=virtual), 8
    schedule = object.__new__(ScheduleInterleaved1F1B)
    schedule.n_local_stages, schedule.pp_group_size = virtual, 4
    schedule._n_microbatches, schedule.microbatches_per_round = micro_batches, 4
    for rank in range(4):
        actions = [a for a in schedule._calculate_single_rank_operations(rank) if a is not None]
        torchs = [
            (a.stage_index // 4, 1 if a.computation_type.name == "FORWARD" else -1) for a in actions
        ]
        if virtual > 1:
            assert list(passes(layout, rank, micro_batches)) == torchs
        else:  # plain 1F1B, which torch runs by another schedule
            assert most_in_flight(layout, rank, micro_batches, [1]) == (4 - rank,)
