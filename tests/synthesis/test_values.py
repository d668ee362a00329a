"""Value pools: apart by split, and partly invented."""

from random import Random

from openk2.synthesis import values as v


def test_the_splits_draw_cities_from_disjoint_pools_and_beijing_is_for_training() -> None:
    pools = v._pool(v._CITIES)
    assert set(pools["train"]).isdisjoint(pools["held_out"])
    assert "Beijing" in pools["train"]
    assert len(pools["held_out"]) > 20


def test_a_share_of_cities_is_invented() -> None:
    rng, known = Random(0), set(v._pool(v._CITIES)["train"])
    drawn = [v.city(rng, "train") for _ in range(1000)]
    assert 0.1 < sum(city not in known for city in drawn) / 1000 < 0.3


def test_decimals_have_a_fraction_so_that_json_keeps_them_as_written() -> None:
    rng = Random(0)
    for _ in range(500):
        number = v.decimal(rng, "train")
        assert not number.is_integer()
        assert str(float(str(number))) == str(number)
