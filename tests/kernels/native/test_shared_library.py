"""Loading the library, and what happens where there is none."""

import logging
import os
import shutil
import threading

import pytest
import torch

from openk2.kernels import (
    PackedExperts,
    PackedHeads,
    PackedLinear,
    PackedSwiGLU,
    latent_attention,
    native,
    rms_norm,
    rotate,
    route,
)
from openk2.kernels.native import NativeError, library, load
from openk2.kernels.native.build import LIBRARY, BuildError, build

NEEDED = pytest.mark.skipif(not native.available(), reason="the native kernels are not built here")


@pytest.mark.skipif(not shutil.which("g++"), reason="no g++ here")
def test_the_kernels_are_built_where_there_is_a_compiler():
    assert native.available()
    assert native.instruction_sets()[-1] == "portable"


def test_a_library_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NativeError, match=r"kernels.so does not exist: run `python -m"):
        load(tmp_path / "kernels.so")


def test_a_file_that_is_no_library_is_named(tmp_path):
    (tmp_path / "kernels.so").write_bytes(b"no library")
    with pytest.raises(NativeError, match="cannot be loaded"):
        load(tmp_path / "kernels.so")


@NEEDED
def test_a_library_of_other_sources_is_refused(monkeypatch):
    monkeypatch.setattr("openk2.kernels.native.shared_library.digest", lambda: "another")
    with pytest.raises(NativeError, match="was built from other sources"):
        load(LIBRARY)


def test_a_build_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match=r"no C\+\+ compiler found \(no-such-compiler\)"):
        build(tmp_path / "kernels.so")
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(BuildError, match="failed"):
        build(tmp_path / "kernels.so")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_build_gives_a_library_that_loads(tmp_path):
    assert load(build(tmp_path / "kernels.so")).kernels("portable")


@NEEDED
def test_an_instruction_set_that_does_not_run_here_is_refused():
    with pytest.raises(NativeError, match="'sse9' does not run here"):
        PackedLinear.pack(torch.ones(2, 2), "sse9")


@pytest.mark.parametrize("count", [0, 257])
def test_a_number_of_threads_that_is_not_possible_is_refused(count):
    with pytest.raises(ValueError, match="1 to 256"):
        native.set_threads(count)


@pytest.fixture
def without_library(monkeypatch, caplog):
    """The kernels as they are where nothing was built."""

    def missing():
        raise NativeError("kernels.so does not exist")

    library.cache_clear()
    monkeypatch.setattr("openk2.kernels.native.shared_library.load", missing)
    with caplog.at_level(logging.WARNING):
        yield
    library.cache_clear()


def test_without_a_library_the_twins_are_used_and_the_log_says_so_once(
    without_library, caplog, random_tensor
):
    x, weight = random_tensor(0, 3, 8), random_tensor(1, 5, 8)
    torch.testing.assert_close(PackedLinear.pack(weight)(x), x @ weight.T)
    out = torch.empty(3, 5)
    assert PackedLinear.pack(weight)(x, out=out) is out
    heads = PackedHeads.pack(weight[None])(x[:, None], torch.float32)
    torch.testing.assert_close(heads[:, 0], x @ weight.T)
    gate, up, down = weight, weight.flip(0), weight.T.contiguous()
    inner = torch.nn.functional.silu(x @ gate.T) * (x @ up.T)
    torch.testing.assert_close(PackedSwiGLU.pack(gate, up, down)(x), inner @ down.T)
    experts = PackedExperts.pack(gate[None], up[None], down[None])
    chosen = torch.zeros(3, 1, dtype=torch.int64)
    mixed = experts(x, torch.full((3, 1), 0.5), chosen)
    torch.testing.assert_close(mixed, inner @ down.T / 2)
    ones = torch.ones(3, dtype=torch.int32)
    seen = latent_attention(x[:, None], weight[:, None], ones[:, None], ones - 1, ones, 1.0, 4)
    torch.testing.assert_close(seen[:, 0], weight[1, :4].expand(3, 4))
    normed = rms_norm(x, torch.ones(8), 0.0)
    torch.testing.assert_close(normed.square().mean(-1), torch.ones(3))
    zeros = torch.zeros(3, 4)
    assert torch.equal(rotate(x[:, None], zeros + 1, zeros)[:, 0], x)
    assert route(x, torch.zeros(8), 2, normalise=True, factor=3.0)[0].shape == (3, 2)
    assert not native.available()
    assert native.instruction_sets() == []
    assert native.threads() == 0
    warnings = [record for record in caplog.records if "native kernels are not used" in record.msg]
    assert len(warnings) == 1


@NEEDED
def test_calls_from_many_threads_at_once_give_the_bits_of_calls_alone(using_threads, random_tensor):
    packed = PackedLinear.pack(random_tensor(0, 300, 256))
    inputs = [random_tensor(seed, 5, 256) for seed in range(8)]
    expected = [packed(x) for x in inputs]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            if not torch.equal(packed(inputs[number]), expected[number]):
                wrong.append(number)

    with using_threads(2):
        workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert wrong == []


@NEEDED
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(using_threads, random_tensor):
    packed, x = PackedLinear.pack(random_tensor(0, 900, 256)), random_tensor(1, 40, 256)
    with using_threads(2):
        expected = packed(x).numpy().tobytes()
        child = os.fork()
        if child == 0:
            os._exit(0 if packed(x).numpy().tobytes() == expected else 1)
        assert os.waitpid(child, 0)[1] == 0
