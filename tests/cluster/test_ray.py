"""Two Ray nodes on this machine do what one process does, also when one of them is killed.

One cluster for all tests of this file, and the node is killed by the last one.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from openk2.chat import train_tokenizer
from openk2.cluster import RayCluster, ThisProcess, WorkerError, finish_jobs
from openk2.data.corpus import CorpusRecipe, Duplicates, SourceTable, prepare_corpus

from .tasks import Note, note_node, refuse, say_done, square

# Ray before 2.60 leaves its streams to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning"
)

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A node is given up after seconds of silence, not after Ray's half minute.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    # Workers find the functions of these tests.
    "PYTHONPATH": str(Path(__file__).parents[2]),
}
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head node and another, one core each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        cluster.add_node(**NODE)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def test_each_item_has_its_result_and_an_items_error_is_raised(nodes: Cluster) -> None:
    workers = RayCluster(nodes.address)
    assert dict(workers.map(square, range(9))) == {n: n * n for n in range(9)}
    with pytest.raises(ValueError, match="item 3 is not to my liking") as caught:
        list(workers.map(refuse, [3]))
    assert type(caught.value) is ValueError


def test_an_address_without_a_cluster_is_told_at_once(nodes: Cluster) -> None:
    list(RayCluster(nodes.address).map(square, [1]))
    with pytest.raises(WorkerError, match=f"is in the Ray cluster at {nodes.address}: leave it"):
        list(RayCluster("127.0.0.1:1").map(square, [1]))
    ray.shutdown()
    with pytest.raises(WorkerError, match=r"no Ray cluster at 127\.0\.0\.1:1: .*refused"):
        list(RayCluster("127.0.0.1:1").map(square, [1]))


def test_an_output_that_is_not_seen_is_told(nodes: Cluster) -> None:
    with pytest.raises(WorkerError, match="a folder that all nodes share"):
        finish_jobs(RayCluster(nodes.address), say_done, [Note(Path("/absent/output"))])


def test_a_corpus_made_by_two_nodes_has_the_bytes_of_one_process(
    nodes: Cluster, tmp_path: Path
) -> None:
    texts = [f"{n}: " + f"stone {n} and river {n * n} " * 30 for n in range(40)]
    train_tokenizer(texts, 540).save(tmp_path / "tokenizer")
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, *texts[:9]]))
    recipe = CorpusRecipe(
        tokenizer=tmp_path / "tokenizer",
        length=64,
        sources=(SourceTable("web", "jsonl", str(source)),),
        item_megabytes=0.004,
        duplicates=Duplicates(near=0.9, permutations=32),
    )
    made = prepare_corpus(recipe, tmp_path / "one", ThisProcess())
    assert made.domains[0].shards > 5
    assert made.domains[0].gone >= 9
    assert prepare_corpus(recipe, tmp_path / "two", RayCluster(nodes.address)) == made
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def test_both_nodes_work_and_a_killed_nodes_items_are_done_by_the_other(
    nodes: Cluster, tmp_path: Path
) -> None:
    notes = [Note(tmp_path / f"{n}", seconds=0.5) for n in range(12)]
    other = next(node for node in nodes.list_all_nodes() if node is not nodes.head_node)

    def kill_when_half_is_done() -> None:
        while sum(note.output.exists() for note in notes) < 6:
            time.sleep(0.05)
        nodes.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill_when_half_is_done)
    killer.start()
    finish_jobs(RayCluster(nodes.address), note_node, notes)
    killer.join()
    writers = [note.output.read_text() for note in notes]
    assert set(writers) == {nodes.head_node.node_id, other.node_id}
    assert writers.count(nodes.head_node.node_id) > 6
