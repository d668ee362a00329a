import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from openk2.chat import CHAT_TEMPLATE, Tokenizer
from openk2.checkpoint import CheckpointError, load_model
from openk2.config import RecipeError, read_recipe
from openk2.data import DataError, PackedRows, pack_whole
from openk2.data.chat_dataset import chat_documents
from openk2.data.rows import RowFile
from openk2.optim import WarmupStableDecay
from openk2.record.lock import hold_folder
from openk2.record.metrics import read_metrics
from openk2.synthesis import generate
from openk2.train.loop import SLOW_PRODUCTS, train
from openk2.train.loss_weights import LossWeights
from openk2.train.recipe import DataPart, Recipe
from openk2.train.resume import STATE, StateError, list_states


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_model(checkpoint, dtype=torch.float32).state_dict()


def assert_bit_equal(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def recipe_of(material: Path, **changes: object) -> Recipe:
    return dataclasses.replace(read_recipe(material / "pretrain.toml", Recipe), **changes)


@pytest.fixture(scope="module")
def whole_run(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train(recipe_of(material), out)
    return out


def test_a_run_learns_clips_and_writes_every_step_once(whole_run: Path) -> None:
    rows = read_metrics(whole_run / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(8))
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert any(row["clipped_heads"] > 0 for row in rows)


def test_an_interrupted_run_resumes_bit_exactly(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    class Interruption(Exception):
        pass

    def interrupt(progress: object) -> None:
        if progress.step == 5:
            raise Interruption

    with pytest.raises(Interruption):
        train(recipe_of(material), tmp_path, show=interrupt)
    assert list_states(tmp_path / "state")[-1].name == "step-00000004"
    resumed = train(recipe_of(material), tmp_path)
    assert_bit_equal(resumed, whole_run / "checkpoint")
    one, other = (read_metrics(out / "metrics.jsonl") for out in (tmp_path, whole_run))
    for row in (*one, *other):
        row.pop("tokens_per_second")
    assert one == other


def test_a_run_with_loss_weights_resumes_bit_exactly_and_with_no_other_weights(
    material: Path, tmp_path: Path
) -> None:
    """Calls alone, so that they fit into the short rows."""
    tokenizer = Tokenizer.load(material / "tokenizer")
    chats = [chat["messages"] for chat in generate(0, 60, "train")]
    calls = [{"messages": [m]} for chat in chats for m in chat if m.get("tool_calls")]
    rows = pack_whole(chat_documents(calls, tokenizer), 96, tokenizer.special("[PAD]"))
    rows.save(tmp_path / "calls.safetensors")
    plain = recipe_of(material, data=(DataPart(tmp_path / "calls.safetensors", 1.0),))
    recipe = dataclasses.replace(plain, loss=LossWeights(names=2.0, keys=1.5, values=4.0))
    shorter = dataclasses.replace(recipe.schedule, decay=0)
    train(dataclasses.replace(recipe, schedule=shorter), tmp_path / "parts")
    parts = train(recipe, tmp_path / "parts")
    assert_bit_equal(parts, train(recipe, tmp_path / "whole"))
    for row in read_metrics(tmp_path / "parts" / "metrics.jsonl"):
        each = row["loss_by_role"]
        assert each.keys() == {"structure", "names", "keys", "values"}
        assert min(each.values()) < row["loss"] < max(each.values())
    with pytest.raises(StateError, match="another recipe"):
        train(plain, tmp_path / "parts")


@pytest.mark.parametrize("delay", [0.0, 0.15])
def test_kill_nine_at_any_instant_loses_only_steps_since_the_checkpoint(
    material: Path, whole_run: Path, tmp_path: Path, delay: float
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "import torch; torch.set_num_threads(int(sys.argv[3]))\n"
        "from openk2.config import read_recipe\n"
        "from openk2.train.recipe import Recipe\n"
        "from openk2.train.loop import train\n"
        "recipe = read_recipe(Path(sys.argv[1]), Recipe)\n"
        "train(recipe, Path(sys.argv[2]), show=lambda p: print(p.step, flush=True))\n"
    )
    arguments = [material / "pretrain.toml", tmp_path, torch.get_num_threads()]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "6":
            break
    # Step 6 has just been printed and its state is being written: with no delay the kill falls
    # into the write, with some it falls after it.
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # On a fast machine the delay is long enough for the last state.
    newest = int(list_states(tmp_path / "state")[-1].name.removeprefix("step-"))
    assert newest in ((4, 6) if delay == 0 else (4, 6, 8))
    assert_bit_equal(train(recipe_of(material), tmp_path), whole_run / "checkpoint")


def test_a_damaged_state_is_refused_by_name(material: Path, tmp_path: Path) -> None:
    train(recipe_of(material), tmp_path)
    newest = list_states(tmp_path / "state")[-1]
    (tensors,) = newest.glob("*.safetensors")
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(StateError, match=r"step-00000008.*damaged"):
        train(recipe_of(material), tmp_path)


def test_a_run_of_another_recipe_is_not_resumed(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(material)
    wider = dataclasses.replace(recipe.shape, hidden_size=48)
    changes = {"seed was 3, is 9": {"seed": 9}, "hidden_size was .*, is 48": {"shape": wider}}
    for said, change in changes.items():
        with pytest.raises(StateError, match=rf"another recipe \((shape\.)?{said}\)"):
            train(recipe_of(material, **change), whole_run)


def test_files_that_the_export_would_remove_are_named_before_the_first_step(
    material: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "notes.txt").write_text("precious")
    with pytest.raises(CheckpointError, match=r"holds 'notes\.txt'"):
        train(recipe_of(material), tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_run_over_other_content_at_the_same_paths_is_not_resumed(
    material: Path, tmp_path: Path
) -> None:
    text, ids = tmp_path / "text.safetensors", tmp_path / "tokenizer"
    shutil.copy(material / "text.safetensors", text)
    shutil.copytree(material / "tokenizer", ids)
    recipe = recipe_of(material, data=(DataPart(text, 1.0),), tokenizer=ids)
    longer = dataclasses.replace(
        recipe, schedule=dataclasses.replace(recipe.schedule, stable=recipe.schedule.stable + 1)
    )
    train(recipe, tmp_path / "out")
    rows, tokens = RowFile(text).read(), list(Tokenizer.load(ids).tokens)
    PackedRows(*(c[::-1] for c in (rows.tokens, rows.segments, rows.learned))).save(text)
    digest = r"sha256 \w{64}"
    said = (
        rf"other content \({text} was {len(rows)} rows, {digest}, is {len(rows)} rows, {digest}\)"
    )
    with pytest.raises(StateError, match=said):
        train(longer, tmp_path / "out")
    rows.save(text)
    Tokenizer([tokens[1], tokens[0], *tokens[2:]]).save(ids)
    with pytest.raises(StateError, match=rf"other content \({ids} was {digest}, is {digest}\)"):
        train(longer, tmp_path / "out")
    # A state from before contents were kept is resumed, and the next one has them.
    record = json.loads((list_states(tmp_path / "out" / "state")[-1] / STATE).read_text())
    del record["contents"]
    (list_states(tmp_path / "out" / "state")[-1] / STATE).write_text(json.dumps(record))
    train(longer, tmp_path / "out")
    record = json.loads((list_states(tmp_path / "out" / "state")[-1] / STATE).read_text())
    assert record["contents"].keys() == {str(text), str(ids)}


def test_a_run_past_the_recipes_end_is_refused(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(material)
    shorter = dataclasses.replace(recipe.schedule, stable=0)
    with pytest.raises(StateError, match=r"step-00000008 is past the end .* 4 steps"):
        train(dataclasses.replace(recipe, schedule=shorter), whole_run)


def test_a_state_that_does_not_fit_on_the_disk_ends_the_run_and_leaves_the_one_before(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_disk(progress: object) -> None:
        if progress.step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

    try:
        with pytest.raises(StateError, match=r"step-00000004 cannot be written: .*; make room"):
            train(recipe_of(material), tmp_path, show=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000002"]
    assert_bit_equal(train(recipe_of(material), tmp_path), whole_run / "checkpoint")


def test_states_half_written_and_half_removed_are_cleared_and_never_read(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    for name in (".step-00000003.writing", ".step-00000001.writing"):
        (tmp_path / "state" / name).mkdir(parents=True)
        (tmp_path / "state" / name / STATE).write_text("{}")
    assert_bit_equal(train(recipe_of(material), tmp_path), whole_run / "checkpoint")
    names = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert names == ["step-00000006", "step-00000008"]


def test_a_folder_that_another_run_holds_is_refused(material: Path, tmp_path: Path) -> None:
    with hold_folder(tmp_path), pytest.raises(BlockingIOError, match="in use by another run"):
        train(recipe_of(material), tmp_path)


def test_a_start_with_another_vocabulary_is_refused_by_name(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    tokens = list(Tokenizer.load(material / "tokenizer").tokens)
    start = shutil.copytree(whole_run / "checkpoint", tmp_path / "start")
    for other in ([*tokens[:-2], tokens[-1], tokens[-2]], tokens[:-1]):
        Tokenizer(other).save(start)
        with pytest.raises(RecipeError, match="start was trained with another tokenizer"):
            train(recipe_of(material, shape=None, start=start), tmp_path / "out")
    fewer = shutil.copytree(material / "tokenizer", tmp_path / "fewer")
    Tokenizer(tokens[:-1]).save(fewer)
    with pytest.raises(DataError, match="holds id 699"):
        train(recipe_of(material, shape=None, start=start, tokenizer=fewer), tmp_path / "out")


def test_a_start_of_another_shape_does_not_take_the_state_of_the_first(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    wider = dataclasses.replace(recipe_of(material).shape, moe_intermediate_size=24)
    other = train(recipe_of(material, shape=wider), tmp_path / "wider")
    start = shutil.copytree(whole_run / "checkpoint", tmp_path / "start")
    tuning = recipe_of(material, shape=None, start=start)
    train(tuning, tmp_path / "out")
    shutil.rmtree(start)
    shutil.copytree(other, start)
    with pytest.raises(StateError, match="another network"):
        train(tuning, tmp_path / "out")


def test_a_longer_schedule_continues_the_same_run(material: Path, tmp_path: Path) -> None:
    recipe = recipe_of(material)
    train(recipe, tmp_path)
    longer = dataclasses.replace(recipe.schedule, stable=recipe.schedule.stable + 1)
    train(dataclasses.replace(recipe, schedule=longer), tmp_path)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == recipe.steps + 1


@pytest.mark.parametrize(
    ("products", "has_them", "warned"),
    [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)],
)
def test_products_that_the_processor_lacks_are_called_slow(
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    products: str,
    has_them: bool,
    warned: bool,
) -> None:
    monkeypatch.setattr("openk2.train.loop.multiplies_bfloat16", lambda _: has_them)
    recipe, said = recipe_of(material), list[str]()
    settings = dataclasses.replace(recipe.optimization, products=products)
    schedule = dataclasses.replace(recipe.schedule, warmup=0, stable=1, decay=0)
    train(
        dataclasses.replace(recipe, optimization=settings, schedule=schedule),
        tmp_path,
        announce=said.append,
    )
    assert (SLOW_PRODUCTS in said) == warned


def test_fine_tuning_starts_from_a_checkpoint(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    start = whole_run / "checkpoint"
    tuned = train(recipe_of(material, shape=None, start=start), tmp_path)
    before, after = weights(start), weights(tuned)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_state_files_hold_no_pickle(whole_run: Path) -> None:
    newest = list_states(whole_run / "state")[-1]
    assert sorted(path.suffix for path in newest.iterdir()) == [".json", ".safetensors"]
    json.loads((newest / STATE).read_text())


THINKS = "{% for m in messages %}{{ m.content }}<think></think>{% endfor %}"
OLDER = "{% for m in messages %}{{ m.content }}{% endfor %}"


def published(whole_run: Path, folder: Path, template: str) -> Path:
    """The run's checkpoint with somebody's own template, sampling, settings and licence."""
    shutil.copytree(whole_run / "checkpoint", folder)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "generation_config.json").write_text('{"eos_token_id": 7, "temperature": 0.9}')
    (folder / "tokenizer_config.json").write_text('{"padding_side": "left"}')
    (folder / "LICENSE").write_text("modified MIT")
    return folder


@pytest.mark.parametrize("tuning", [False, True])
def test_the_start_gives_its_sampling_and_licence_and_tuning_the_template_that_it_trains(
    material: Path, whole_run: Path, tmp_path: Path, tuning: bool
) -> None:
    start = published(whole_run, tmp_path / "start", OLDER)
    step = WarmupStableDecay(1e-3, 1e-3, warmup=0, stable=1, decay=0)
    recipe = recipe_of(material, shape=None, start=start, schedule=step)

    def gone(_: object) -> None:
        start.rename(tmp_path / "moved")

    made = train(recipe, tmp_path / "out", tuning=tuning, show=gone)
    template = (made / "chat_template.jinja").read_text()
    assert template == (CHAT_TEMPLATE if tuning else OLDER)
    generation = json.loads((made / "generation_config.json").read_text())
    assert generation["temperature"] == 0.9
    assert 7 in generation["eos_token_id"]
    assert json.loads((made / "tokenizer_config.json").read_text())["padding_side"] == "left"
    assert (made / "LICENSE").read_text() == "modified MIT"


def test_a_start_that_thinks_is_not_tuned_on_rows_without_thoughts(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    start = published(whole_run, tmp_path / "start", THINKS)
    with pytest.raises(RecipeError, match=r"start writes thoughts.*no thoughts"):
        train(recipe_of(material, shape=None, start=start), tmp_path / "out", tuning=True)
