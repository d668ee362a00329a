import pytest
from torch.distributed.pipelining.schedules import (
    Schedule1F1B,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
    _Action,
    _ComputationType,
)

from openk2.parallel import Layout
from openk2.parallel.pipeline import bubble_fraction, check_micro_batches

FORWARD, BACKWARD = _ComputationType.FORWARD, _ComputationType.FULL_BACKWARD
TO_INPUTS, TO_WEIGHTS = _ComputationType.BACKWARD_INPUT, _ComputationType.BACKWARD_WEIGHT
COSTS = {FORWARD: 1, BACKWARD: 2, TO_INPUTS: 1, TO_WEIGHTS: 1}
Table = dict[int, list[_Action]]


def table(layout: Layout, micro_batches: int) -> Table:
    """What each rank computes, in order, by torch's own schedule; made without processes."""
    kind = ScheduleInterleavedZeroBubble if layout.zero_bubble else ScheduleInterleaved1F1B
    if layout.virtual == 1 and not layout.zero_bubble:
        kind = Schedule1F1B
    schedule = kind.__new__(kind)
    schedule._n_microbatches = micro_batches
    if kind is Schedule1F1B:
        schedule._num_stages = layout.pipeline
        return renumbered(schedule._get_pipeline_order())
    schedule.pp_group_size, schedule.n_local_stages = layout.pipeline, layout.virtual
    schedule.microbatches_per_round = micro_batches // (micro_batches // layout.pipeline)
    ranks = range(layout.pipeline)
    return {r: [a for a in schedule._calculate_single_rank_operations(r) if a] for r in ranks}


def renumbered(order: dict[int, list[_Action | None]]) -> Table:
    """1F1B's table with micro-batches in order: torch 2.13's gives the last rank's first as 1."""
    result: Table = {}
    for rank, actions in order.items():
        count = dict.fromkeys(COSTS, 0)
        result[rank] = []
        for kind in (a.computation_type for a in actions if a and a.computation_type in COSTS):
            result[rank].append(_Action(rank, kind, count[kind]))
            count[kind] += 1
    return result


def needs(action: _Action, stages: int) -> list[tuple[str, int, int]]:
    """What must have been computed before."""
    stage, kind, micro = action.stage_index, action.computation_type, action.microbatch_index
    if kind == FORWARD:
        return [("forward", stage - 1, micro)] if stage else []
    if kind == TO_WEIGHTS:
        return [("backward", stage, micro)]
    later = [("backward", stage + 1, micro)] if stage < stages - 1 else []
    return [("forward", stage, micro), *later]


def idle(table: Table, stages: int) -> float:
    """The share of time in which ranks wait, each doing what its table says as soon as it can."""
    done: dict[tuple[str, int, int], int] = {}
    clock = dict.fromkeys(table, 0)
    waiting = {rank: list(actions) for rank, actions in table.items()}
    while any(waiting.values()):
        before = len(done), sum(map(len, waiting.values()))
        for rank, actions in waiting.items():
            while actions and all(need in done for need in needs(actions[0], stages)):
                action = actions.pop(0)
                kind = action.computation_type
                start = max([clock[rank], *(done[need] for need in needs(action, stages))])
                clock[rank] = start + COSTS[kind]
                name = "forward" if kind == FORWARD else "backward"
                if kind != TO_WEIGHTS:
                    done[name, action.stage_index, action.microbatch_index] = clock[rank]
        assert before != (len(done), sum(map(len, waiting.values()))), "the table stands still"
    work = sum(COSTS[action.computation_type] for actions in table.values() for action in actions)
    return 1 - work / (len(table) * max(clock.values()))


@pytest.mark.parametrize("zero_bubble", [False, True])
@pytest.mark.parametrize(
    ("pipeline", "virtual", "micro_batches"),
    [(2, 1, 2), (4, 1, 6), (16, 1, 64), (2, 2, 4), (4, 2, 4), (4, 2, 10), (16, 4, 32)],
)
def test_the_bubble_is_what_torchs_schedules_leave_idle(
    pipeline: int, virtual: int, micro_batches: int, zero_bubble: bool
) -> None:
    layout = Layout(pipeline=pipeline, virtual=virtual, zero_bubble=zero_bubble)
    check_micro_batches(layout, micro_batches)
    counted = idle(table(layout, micro_batches), pipeline * virtual)
    assert bubble_fraction(pipeline, virtual, micro_batches, zero_bubble) == pytest.approx(counted)


def test_micro_batches_that_a_schedule_cannot_run_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"3 micro-batches .* do not fill layout\.pipeline 4"):
        check_micro_batches(Layout(pipeline=4), 3)
    check_micro_batches(Layout(pipeline=2), 5)
    for layout in (Layout(pipeline=2, virtual=2), Layout(pipeline=2, zero_bubble=True)):
        with pytest.raises(ValueError, match=r"5 .* no 2 equal rounds .* take a multiple of 2"):
            check_micro_batches(layout, 5)


def test_settings_that_a_pipeline_cannot_have_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"zero is 3 with pipeline 2: .*; take zero 1"):
        Layout(pipeline=2, zero=3)
    with pytest.raises(ValueError, match="zero_bubble is set with pipeline 1"):
        Layout(zero_bubble=True)
