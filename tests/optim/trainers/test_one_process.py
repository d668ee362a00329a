"""A trainer's own parts take the same 50 steps as the bare loop: float32, within 1e-6."""

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import bare

CLOSE = 1e-6


@pytest.fixture(scope="module")
def wanted() -> bare.Weights:
    moved = bare.furthest(bare.bare_loop(), bare.weights(bare.network()))
    assert moved > 1e-3  # what must agree is not at rest
    return bare.bare_loop()


def test_a_scheduler_a_closure_and_torchs_clipping(wanted: bare.Weights) -> None:
    model = bare.network()
    optimizer = bare.make(model)
    schedule = bare.scheduled(optimizer)
    for step in range(bare.STEPS):

        def closure(step: int = step) -> float:
            optimizer.zero_grad(set_to_none=True)
            loss = bare.loss_of(model, bare.tokens_of(step))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            return float(loss.detach())

        assert optimizer.step(closure) > 0
        optimizer.clip(bare.heads_of(model), bare.logits_of(step))
        schedule.step()
    assert bare.furthest(bare.weights(model), wanted) <= CLOSE


def test_a_gradient_scaler_and_it_skips_a_step_that_overflows(wanted: bare.Weights) -> None:
    model = bare.network()
    optimizer = bare.make(model)
    schedule = bare.scheduled(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=20)
    for step in range(bare.STEPS):
        optimizer.zero_grad()
        scaler.scale(bare.loss_of(model, bare.tokens_of(step))).backward()
        scaler.unscale_(optimizer)
        optimizer.clip_gradients(1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.clip(bare.heads_of(model), bare.logits_of(step))
        schedule.step()
    assert bare.furthest(bare.weights(model), wanted) <= CLOSE
    before, scale = bare.weights(model), scaler.get_scale()
    model.lm_head.weight.grad[0, 0] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    assert bare.furthest(bare.weights(model), before) == 0.0
    assert scaler.get_scale() < scale


def test_a_post_hook_clips_in_a_trainer_that_only_steps(wanted: bare.Weights) -> None:
    model = bare.network()
    optimizer = bare.make(model)
    schedule = bare.scheduled(optimizer)
    seen: list[int] = []

    def clip(stepped: Any, args: Any, kwargs: Any) -> None:
        stepped.clip(bare.heads_of(model), bare.logits_of(len(seen)))
        seen.append(1)

    optimizer.register_step_post_hook(clip)
    for step in range(bare.STEPS):
        optimizer.zero_grad()
        bare.loss_of(model, bare.tokens_of(step)).backward()
        optimizer.clip_gradients(1.0)
        optimizer.step()
        schedule.step()
    assert len(seen) == bare.STEPS
    assert bare.furthest(bare.weights(model), wanted) <= CLOSE


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network(wanted: bare.Weights) -> None:
    model = bare.network()
    compiled = torch.compile(model)
    optimizer = bare.make(compiled)
    assert not any("_orig_mod" in owner.name for owner in optimizer.owners)
    schedule = bare.scheduled(optimizer)
    for step in range(bare.STEPS):
        optimizer.zero_grad()
        bare.loss_of(compiled, bare.tokens_of(step)).backward()
        optimizer.clip_gradients(1.0)
        optimizer.step()
        optimizer.clip(bare.heads_of(model), bare.logits_of(step))
        schedule.step()
    assert bare.furthest(bare.weights(model), wanted) <= CLOSE


@pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed"
)
@pytest.mark.filterwarnings("ignore")
def test_accelerate(wanted: bare.Weights, tmp_path: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = bare.network()
    own = bare.make(model)
    model, optimizer, schedule = accelerator.prepare(model, own, bare.scheduled(own))
    for step in range(bare.STEPS):
        if step == 20:  # a save and a load in the middle
            accelerator.save_state(str(tmp_path))
            for parameter in model.parameters():
                parameter.data.zero_()
            accelerator.load_state(str(tmp_path))
        optimizer.zero_grad()
        accelerator.backward(bare.loss_of(model, bare.tokens_of(step)))
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        own.clip(bare.heads_of(accelerator.unwrap_model(model)), bare.logits_of(step))
        schedule.step()
    assert bare.furthest(bare.weights(model), wanted) <= CLOSE


@pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None
    and importlib.util.find_spec("pytorch_lightning") is None,
    reason="neither lightning nor pytorch-lightning is installed",
)
@pytest.mark.filterwarnings("ignore")
def test_lightning(wanted: bare.Weights, tmp_path: Path) -> None:
    if importlib.util.find_spec("lightning") is not None:
        import lightning.pytorch as pl
    else:
        import pytorch_lightning as pl

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = bare.network()

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            return bare.loss_of(self.net, bare.tokens_of(self.trainer.global_step))

        def on_train_batch_end(self, *done: Any) -> None:
            step = self.trainer.global_step - 1
            self.optimizers().optimizer.clip(bare.heads_of(self.net), bare.logits_of(step))

        def configure_optimizers(self) -> Any:
            optimizer = bare.make(self)
            schedule = {"scheduler": bare.scheduled(optimizer), "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": schedule}

    def fit(module: nn.Module, end: int, resume: Path | None = None) -> Any:
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=end, gradient_clip_val=1.0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=tmp_path,
        )  # fmt: skip
        loader = torch.utils.data.DataLoader(torch.zeros(bare.STEPS, 1), batch_size=1)
        trainer.fit(module, loader, ckpt_path=resume)
        return trainer

    half = tmp_path / "half.ckpt"
    fit(Module(), 25).save_checkpoint(half)
    resumed = Module()
    fit(resumed, bare.STEPS, half)
    assert bare.furthest(bare.weights(resumed.net), wanted) <= CLOSE
