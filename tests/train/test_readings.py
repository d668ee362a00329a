import math

import pytest
import torch

from openk2.cli.train import idle
from openk2.model import Observation
from openk2.train.readings import Readings
from openk2.train.step import StepReport
from tiny import PLANNED


def test_violations_and_idle_experts_are_told_by_layer() -> None:
    seen = Observation(PLANNED)
    seen.expert_load[1] = torch.tensor([1.0, 1, 1, 5])
    seen.expert_load[2] = torch.tensor([0.0, 0, 2, 2])
    seen.balance_loss[1:] = torch.tensor([0.25, 0.5])
    seen.max_logits[2, 1] = 7.0
    read = Readings.read(torch.tensor(1.5), torch.arange(5.0), torch.tensor(2.5), seen)
    assert read.load_violations == (0.0, 1.5, 1.0)
    assert read.idle == (0, 0, 2)
    assert read.nll_by_role == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert (read.loss, read.balance_loss, read.grad_norm, read.max_logit) == (1.5, 0.75, 2.5, 7.0)


def test_everything_comes_from_the_device_in_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    plain = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: readings.append(t) or plain(t))
    for name in ("__float__", "__bool__", "__int__", "item"):
        monkeypatch.setattr(torch.Tensor, name, None, raising=False)
    Readings.read(torch.tensor(1.0), torch.zeros(5), torch.tensor(1.0), Observation(PLANNED))
    assert len(readings) == 1


def test_a_nan_is_read_as_one() -> None:
    seen = Observation(PLANNED)
    seen.max_logits[0, 0] = torch.nan
    read = Readings.read(torch.tensor(1.0), torch.zeros(5), torch.tensor(1.0), seen)
    assert math.isnan(read.max_logit)


@pytest.mark.parametrize(
    ("layers", "line"), [((0, 0, 0), "0"), ((0, 3, 0), "3 in 1"), ((0, 1, 2), "3 in 1,2")]
)
def test_the_progress_line_says_where_experts_are_idle(layers: tuple[int, ...], line: str) -> None:
    none = torch.empty(0, 2)
    report = StepReport(
        1.0, 0.0, 1, 1.0, 1.0, 0, 0.0, 0, sum(layers), (0.0,) * 3, layers, {}, none, none > 0
    )
    assert idle(report) == line
