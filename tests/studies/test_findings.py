"""What pages say of planted runs: gains, and the lack of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from openk2.studies import STUDIES, HeadsStudy, OptimizerStudy, QKClipStudy, SparsityStudy
from openk2.studies.page import divergences
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting, hottest
from openk2.studies.size import SMALL, quick
from openk2.studies.study import Findings, Study

QUICK = quick(SMALL)


@pytest.fixture
def found(planted) -> Callable[..., Findings]:
    """Findings of a study whose every run is what `make` gives of its setting."""

    def findings(study: Study, make: Callable[[Setting], list[float]], size=QUICK, **more):
        results: dict[Setting, StudyResult] = {}
        while missing := [s for s in study.plan(size, results) if s not in results]:
            for setting in missing:
                given = {name: read(setting) for name, read in more.items()}
                results[setting] = planted(setting, make(setting), **given)
        return study.findings(size, results)

    return findings


def test_all_studies_together_take_24_runs_of_the_small_size(planted):
    results: dict[Setting, StudyResult] = {}
    for study in STUDIES:
        while missing := [s for s in study.plan(SMALL, results) if s not in results]:
            results |= {s: planted(s, [abs(s.rate - 0.0055)]) for s in missing}
    assert len(results) == 24
    assert all(type(study).__doc__ and study.name for study in STUDIES)


def test_muon_is_said_to_need_half_the_tokens_where_it_does(found):
    def losses(setting: Setting) -> list[float]:
        slow = [6.0 + setting.rate, 5.0 + setting.rate, 4.5 + setting.rate, 4.0 + setting.rate]
        return slow if setting.optimizer == "adamw" else [5.0, 4.0 + QUICK.adamw_rates[0], 3.0, 2.0]

    said = " ".join(found(OptimizerStudy(), losses).remarks)
    assert "with 0.50 (0.50 to 0.50) of AdamW's 4,000 tokens" in said
    assert "edge of its sweep" in said


def test_a_muon_that_never_arrives_is_said_to_gain_nothing(found):
    said = found(OptimizerStudy(), lambda s: [5.0, 3.0 if s.optimizer == "adamw" else 4.0]).remarks
    assert "in only 0 of 2 runs: no gain is shown" in said[0]


def test_a_best_rate_inside_the_sweep_is_not_called_an_edge(found):
    size = replace(QUICK, adamw_rates=(1e-3, 2e-3, 4e-3), muon_rates=(1e-3, 2e-3, 4e-3))
    said = found(OptimizerStudy(), lambda s: [abs(s.rate - 2e-3)], size).remarks
    assert not any("edge" in remark for remark in said)
    assert any("at one rate" in remark for remark in said)


@pytest.mark.parametrize(("shift", "verdict"), [(0.05, "overlap"), (0.2, "differ by more")])
def test_curves_overlap_only_within_what_seeds_differ_by(found, shift, verdict):
    def losses(setting: Setting) -> list[float]:
        return [4.0 + 0.1 * setting.seed + shift * (setting.tau == QUICK.taus[-1])] * 3

    clips = {"clips": lambda s: [0, int(s.tau == QUICK.taus[-1]), 0]}
    assert verdict in found(QKClipStudy(), losses, **clips).remarks[0]


def test_curves_that_no_clip_touched_show_nothing(found):
    said = found(QKClipStudy(), lambda s: [4.0 + 0.1 * s.seed] * 3).remarks
    assert "nothing was clipped, so nothing is shown" in said[0]
    assert "Caps that no logit reached: 0.1, 0.01." in said[2]


def test_the_share_of_heads_and_the_last_clip_stand_in_the_table(found):
    def clips(setting: Setting) -> list[int]:
        return [0, int(setting.tau == QUICK.taus[-1]), 0]

    logits = {"logits": lambda s: [1.0, 8.0, 2.0], "clips": clips}
    findings = found(QKClipStudy(), lambda s: [3.0, 2.0, 1.0], **logits)
    (row,) = [r for r in findings.tables[0].rows if r[0] == f"MuonClip, tau {QUICK.taus[-1]:g}"]
    assert row[1:5] == ("8.0", "2.0", "25.0%", "2")


def test_a_sparsity_gain_smaller_than_the_seeds_spread_shows_nothing(found):
    def small(setting: Setting) -> list[float]:
        return [4.0 - 0.001 * setting.experts + 0.1 * setting.seed]

    assert "nothing is shown" in found(SparsityStudy(), small).remarks[1]


def test_sparsity_saves_the_flops_that_its_curve_says(found):
    def losses(setting: Setting) -> list[float]:
        return [5.0, 4.0, 3.5, 3.0] if setting.experts == QUICK.experts[0] else [4.0, 3.0, 2.0, 1.0]

    rows = found(SparsityStudy(), losses).tables[0].rows
    assert [row[7] for row in rows] == ["1.00x", "2.00x"]


def test_the_gain_of_more_heads_is_relative_and_signed(found):
    def losses(setting: Setting) -> list[float]:
        return [4.0 if setting.heads == QUICK.heads[0] else 3.8]

    assert "5.00 (5.00 to 5.00) %. Every seed gains." in found(HeadsStudy(), losses).remarks[0]
    worse = found(HeadsStudy(), lambda s: [4.0 + 0.1 * (s.heads == QUICK.heads[1])]).remarks[0]
    assert "-2.50 (-2.50 to -2.50) %. Every seed loses." in worse


def test_a_diverged_run_is_drawn_as_far_as_it_came_and_named_on_the_page(found, planted):
    def fate(setting: Setting) -> int | None:
        return 2 if setting.tau == QUICK.taus[-1] else None

    def clips(setting: Setting) -> list[int]:
        return [1, 0] if fate(setting) else [0, 0, 0]

    def losses(setting: Setting) -> list[float]:
        return [4.0] * len(clips(setting))

    findings = found(QKClipStudy(), losses, diverged=fate, clips=clips)
    assert "differ by more" in findings.remarks[0]
    (line,) = [x for x in findings.panels[2].lines if x.label.endswith(f"{QUICK.taus[-1]:g}")]
    assert len(line.x) == 2
    lowest = replace(hottest(QUICK), tau=QUICK.taus[-1])
    (said,) = divergences([planted(lowest, [4.0, 4.0], diverged=2)])
    assert said.endswith(f"{lowest.name} at step 2.")
