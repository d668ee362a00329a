"""Muon's work is shared out once, evenly, alike on every rank."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from openk2.optim.muon.matrices import Matrices
from openk2.optim.muon.work import Assignment, divide_work, rounds

SHAPE = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(0, 9), st.integers(1, 40), st.integers(1, 40)),
)


def stacks_of(shapes: Sequence[tuple[int, ...]]) -> tuple[Matrices, ...]:
    return tuple(map(Matrices.all_of, shapes))


@given(st.lists(SHAPE, min_size=1, max_size=20), st.integers(1, 9))
def test_every_matrix_is_in_exactly_one_job(shapes: list[tuple[int, ...]], ranks: int) -> None:
    jobs = divide_work(stacks_of(shapes), ranks)
    covered = sorted((job.stack, job.first + i) for job in jobs for i in range(job.count))
    wanted = [(t, i) for t, s in enumerate(shapes) for i in range(s[0] if len(s) == 3 else 1)]
    assert covered == wanted
    assert all((job.rows, job.columns) == shapes[job.stack][-2:] for job in jobs)
    assert all(0 <= job.owner < ranks for job in jobs)


@given(st.lists(SHAPE, min_size=1, max_size=20), st.integers(1, 9))
def test_no_rank_has_more_than_its_share_and_one_matrix(
    shapes: list[tuple[int, ...]], ranks: int
) -> None:
    """The bound of handing each next job to the rank that has least."""
    jobs = divide_work(stacks_of(shapes), ranks)
    load = [sum(job.cost for job in jobs if job.owner == rank) for rank in range(ranks)]
    dearest = max((s[-2] * s[-1] * min(s[-2:]) for s in shapes), default=0)
    assert max(load) <= sum(load) / ranks + dearest


def test_k2s_matrices_are_shared_out_evenly() -> None:
    """A layer's matrices outside of the experts, 60 layers over 64 ranks: within 4 %."""
    layer = ((1536, 7168), (12288, 1536), (576, 7168), (16384, 512), (7168, 8192))
    shared = ((2048, 7168), (2048, 7168), (7168, 2048), (384, 7168))
    jobs = divide_work(stacks_of((*layer, *shared) * 60), 64)
    load = [sum(job.cost for job in jobs if job.owner == rank) for rank in range(64)]
    assert max(load) / (sum(load) / 64) < 1.04


@given(st.lists(SHAPE, min_size=1, max_size=20), st.integers(1, 5), st.integers(1, 3000))
def test_rounds_keep_the_bound_and_lose_no_job(
    shapes: list[tuple[int, ...]], ranks: int, numbers: int
) -> None:
    jobs = divide_work(stacks_of(shapes), ranks)
    taken: list[Assignment] = []
    for some in rounds(jobs, ranks, numbers):
        taken += some
        for rank in range(ranks):
            own = [job.numbers for job in some if job.owner == rank]
            assert len(own) <= 1 or sum(own) <= numbers
    assert sorted(taken, key=str) == sorted(jobs, key=str)
