import os
from pathlib import Path

import pytest

from openk2.record.metrics import MetricsLog, read_metrics


def rows(*steps: int) -> list[dict[str, int]]:
    return [{"step": step} for step in steps]


def test_a_resumed_log_holds_each_step_once_and_no_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    with MetricsLog(path, keep_below=2) as log:
        assert read_metrics(path) == rows(0, 1)
        log.write({"step": 2})
    assert read_metrics(path) == rows(0, 1, 2)


def test_a_crash_while_the_history_is_rewritten_loses_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as log:
        for row in rows(0, 1, 2):
            log.write(row)

    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(path, keep_below=2)
    assert read_metrics(path) == rows(0, 1, 2)
