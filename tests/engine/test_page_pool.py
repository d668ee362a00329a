import pytest

from openk2.engine.page_pool import PageError, PagePool


def test_every_page_is_given_out_once() -> None:
    pool = PagePool(5)
    assert sorted(pool.allocate(2) + pool.allocate(3)) == [0, 1, 2, 3, 4]
    assert pool.num_free == 0


def test_asking_for_too_many_pages_takes_none() -> None:
    pool = PagePool(3)
    with pytest.raises(PageError, match="4 pages requested, 3 of 3 free"):
        pool.allocate(4)
    assert pool.num_free == 3


def test_a_page_given_back_twice_is_refused() -> None:
    pool = PagePool(3)
    pages = pool.allocate(1)
    pool.free(pages)
    with pytest.raises(PageError, match="not in use"):
        pool.free(pages)
    with pytest.raises(PageError, match="not in use"):
        pool.free([99])


def test_a_released_page_can_be_allocated_again() -> None:
    pool = PagePool(1)
    pool.free(pool.allocate(1))
    assert pool.allocate(1) == [0]
