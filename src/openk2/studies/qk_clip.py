"""QK-Clip: what the largest logits do with and without it, and whether the loss notices.

Report 2.1 and its figures 2 and 3: without the clip Muon's logits pass 1000; with it they rise to
tau and later fall; the loss curves overlap (ablation at tau 30).
"""

import math
from dataclasses import replace

from openk2.record import Line, Panel, Table, spread
from openk2.studies.curves import loss_line, step_line
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting, adamw, hottest
from openk2.studies.size import Size
from openk2.studies.study import Findings, Results


class QKClipStudy:
    """Logits, clipped heads and loss for AdamW, Muon and MuonClip."""

    name = "qk-clip"

    def plan(self, size: Size, done: Results) -> list[Setting]:
        """One seed of everything, a second one of Muon and of the lowest cap."""
        lowest, second = clipped(size)[-1], size.seeds[1]
        return [
            adamw(size, max(size.adamw_rates)),
            hottest(size),
            *clipped(size),
            hottest(size).with_seed(second),
            lowest.with_seed(second),
        ]

    def findings(self, size: Size, results: Results) -> Findings:
        """Logits by step, heads clipped, and loss differences beside those between seeds."""
        baseline, muon = results[adamw(size, max(size.adamw_rates))], results[hottest(size)]
        capped = [results[setting] for setting in clipped(size)]
        named = [("AdamW", baseline), ("Muon", muon)]
        named += [(f"MuonClip, tau {r.setting.tau:g}", r) for r in capped]
        return Findings(
            title="QK-Clip: logits, clipped heads, loss",
            claim=(
                "Without QK-Clip the logits of Muon runs pass 1000 and the loss may diverge; with "
                "it they rise to tau and later settle below (K2: tau 100, 12.7 % of heads ever "
                "clipped, all in the first 30 % of training). In the ablation with tau 30 the "
                "loss curves overlap."
            ),
            method=(
                f"Each optimizer at the highest rate of its sweep, so that logits grow: AdamW "
                f"{baseline.setting.rate:g}, Muon and MuonClip {muon.setting.rate:g}. A step's "
                "logit is the largest over its batch, before that step's clip, so it may pass "
                "tau by what one update adds. Distance: mean absolute difference of held-out loss "
                "from unclipped Muon of the same seed, over the evaluations; beside it the "
                "distance between two seeds."
            ),
            tables=(logit_table(named, muon), seed_table(size, results)),
            remarks=remarks(size, results, named),
            panels=panels(named),
        )


def clipped(size: Size) -> list[Setting]:
    """MuonClip at each cap, largest first."""
    return [replace(hottest(size), tau=tau) for tau in size.taus]


def distance(one: StudyResult, other: StudyResult) -> float:
    """Mean absolute difference of the held-out losses; infinite if one of the two diverged."""
    if len(one.curve) != len(other.curve):
        return math.inf
    pairs = zip(one.curve, other.curve, strict=True)
    gaps = [abs(ours - theirs) for (_, ours), (_, theirs) in pairs]
    return sum(gaps) / len(gaps)


def logit_table(named: list[tuple[str, StudyResult]], muon: StudyResult) -> Table:
    """A row for each optimizer, first seed."""
    rows = [
        (
            name,
            f"{result.peak_logit:.1f}",
            f"{result.max_logits[-1]:.1f}",
            f"{result.share_ever_clipped:.1%}",
            "never" if result.last_clip is None else str(result.last_clip + 1),
            f"{result.final_loss:.3f}",
            "-" if result is muon or name == "AdamW" else f"{distance(result, muon):.4f}",
        )
        for name, result in named
    ]
    header = (
        "optimizer",
        "max logit, whole run",
        "at the last step",
        "heads ever clipped",
        "last clip at step",
        "final held-out loss",
        "distance from Muon",
    )
    return Table(header, tuple(rows))


def seed_pairs(size: Size, results: Results) -> list[tuple[StudyResult, StudyResult]]:
    """For each seed that both have: Muon, and MuonClip with the lowest cap."""
    lowest = clipped(size)[-1]
    return [
        (results[hottest(size).with_seed(seed)], results[lowest.with_seed(seed)])
        for seed in size.seeds[:2]
    ]


def seed_table(size: Size, results: Results) -> Table:
    """Muon and the lowest cap over two seeds."""
    columns = list(zip(*seed_pairs(size, results), strict=True))
    names = ("Muon", f"MuonClip, tau {size.taus[-1]:g}")
    rows = [
        (
            name,
            ", ".join(str(result.setting.seed) for result in column),
            spread([result.final_loss for result in column]),
            spread([result.peak_logit for result in column], 1),
        )
        for name, column in zip(names, columns, strict=True)
    ]
    return Table(("optimizer", "seeds", "final held-out loss", "max logit"), tuple(rows))


def remarks(size: Size, results: Results, named: list[tuple[str, StudyResult]]) -> tuple[str, ...]:
    """What the figures say, whichever way they fell."""
    pairs = seed_pairs(size, results)
    by_clip = [distance(clip, muon) for muon, clip in pairs]
    by_seed = distance(pairs[0][0], pairs[1][0])
    if all(clip.last_clip is None for _, clip in pairs):
        verdict = "nothing was clipped, so nothing is shown."
    elif max(by_clip) <= by_seed:
        verdict = "the curves overlap."
    else:
        verdict = "the curves differ by more than seeds do."
    said = [
        f"Between two seeds of Muon the distance is {by_seed:.4f}; between Muon and the lowest "
        f"cap, same seed, {spread(by_clip, 4)}: {verdict}"
    ]
    signed = [clip.final_loss - muon.final_loss for muon, clip in pairs]
    said.append(
        f"Final loss with the lowest cap minus without: {spread(signed, 4)} (below 0: better)."
    )
    idle = [result.setting.tau for _, result in named[2:] if result.last_clip is None]
    if idle:
        caps = ", ".join(f"{tau:g}" for tau in idle)
        said.append(f"Caps that no logit reached: {caps}. Those runs are Muon's, bit for bit.")
    if named[0][1].peak_logit > named[1][1].peak_logit:
        said.append(
            "AdamW's logits grow beyond Muon's here, unlike in the report: at this size and "
            "these rates Muon is not the one in need of a cap."
        )
    return tuple(said)


def panels(named: list[tuple[str, StudyResult]]) -> tuple[Panel, ...]:
    """Logits, heads clipped at each step, loss."""
    first, last = 0.0, float(len(named[0][1].rows))
    lines = [step_line(name, [result], lambda r: r.max_logits) for name, result in named]
    caps = {result.setting.tau for _, result in named} - {math.inf}
    lines += [Line("", (first, last), (tau, tau), dashed=True) for tau in sorted(caps)]
    return (
        Panel("Largest attention logit", "step", "scaled logit", tuple(lines), y_scale="log"),
        Panel(
            "Heads clipped in each step",
            "step",
            "share of all heads",
            tuple(step_line(name, [result], lambda r: r.clipped_shares) for name, result in named),
        ),
        Panel(
            "Held-out loss",
            "tokens (millions)",
            "nats a token",
            tuple(loss_line(name, [result]) for name, result in named),
        ),
    )
