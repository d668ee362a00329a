from collections.abc import Callable

import pytest

from openk2.pretrained.folder import assets_folder
from openk2.studies.corpus import Corpus, open_corpus
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting
from openk2.studies.size import SMALL, quick

QUICK = quick(SMALL)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus of a quick study."""
    folder = tmp_path_factory.mktemp("corpus")
    return open_corpus(folder, QUICK, None, assets_folder() / "openk2-nano-base")


@pytest.fixture(scope="session")
def planted() -> Callable[..., StudyResult]:
    """A finished run of 4 heads in 2 layers whose losses, logits and clips are given."""
    return make_result


def make_result(
    setting: Setting,
    losses: list[float],
    logits: list[float] | None = None,
    clips: list[int] | None = None,
    tokens: int = 1000,
    diverged: int | None = None,
) -> StudyResult:
    logits, clips = logits or [1.0] * len(losses), clips or [0] * len(losses)
    rows = tuple(
        {
            "step": step,
            "tokens": (step + 1) * tokens,
            "held_out": loss,
            "idle_experts": 0,
            "max_logits": [[0.0, logit], [0.5, -1.0]],
            "clipped": [[0, clip], [0, 0]],
        }
        for step, (loss, logit, clip) in enumerate(zip(losses, logits, clips, strict=True))
    )
    return StudyResult(
        setting, "", 60.0, 50.0, "a machine", 3_000_000, 1_000_000, 6e6, rows, diverged
    )
