"""AdamW against Muon: how many tokens each needs to a given loss.

Each has its own sweep of the learning rate, since a baseline at another's rate proves nothing; the
best rate of each then gets the other seeds. Report 2.1, and Moonlight (arXiv 2502.16982) for the
claim that Muon needs half of AdamW's tokens.
"""

from openk2.record import Line, Panel, Table, spread
from openk2.studies.curves import banded, loss_line
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting, adamw, plain
from openk2.studies.size import Size
from openk2.studies.study import Findings, Results


class OptimizerStudy:
    """Tokens to a given loss."""

    name = "optimizer"

    def plan(self, size: Size, done: Results) -> list[Setting]:
        """Both sweeps; when they are done, the best rate of each with every seed."""
        sweeps = [adamw_sweep(size), muon_sweep(size)]
        wanted = [setting for sweep in sweeps for setting in sweep]
        if all(setting in done for setting in wanted):
            for sweep in sweeps:
                chosen = best(sweep, done)
                wanted += [chosen.with_seed(seed) for seed in size.seeds if seed != chosen.seed]
        return wanted

    def findings(self, size: Size, results: Results) -> Findings:
        """Both sweeps, the losses of all seeds, and the tokens that Muon needs for AdamW's loss."""
        chosen = [best(sweep(size), results) for sweep in (adamw_sweep, muon_sweep)]
        ours, theirs = ([results[c.with_seed(s)] for s in size.seeds] for c in reversed(chosen))
        target = sum(r.final_loss for r in theirs) / len(theirs)
        return Findings(
            title="AdamW against Muon: tokens to a given loss",
            claim=(
                "The report trains with Muon for its token efficiency; Moonlight's scaling laws "
                "put it at about half of AdamW's tokens for the same loss. With its update scaled "
                "to AdamW's root mean square, both are to share one learning rate."
            ),
            method=(
                "Embedding, head and norms are AdamW's in both. AdamW: betas 0.9 and 0.95, the "
                "same weight decay. Each has its own sweep of the peak rate with one seed; the "
                "best rate by final held-out loss gets all seeds. The target is the mean final "
                "loss of AdamW at its best rate, after its rate has decayed; Muon's tokens are "
                "counted on its own curve, mostly before any decay, which is to its disadvantage."
            ),
            tables=(sweep_table(size, results), outcome_table(theirs, ours, target)),
            remarks=remarks(size, chosen, theirs, ours, target),
            panels=(
                Panel(
                    "Held-out loss",
                    "tokens (millions)",
                    "nats a token",
                    (
                        loss_line(f"AdamW, rate {chosen[0].rate:g}", theirs),
                        loss_line(f"Muon, rate {chosen[1].rate:g}", ours),
                    ),
                ),
                Panel(
                    "Rate sweep",
                    "peak learning rate",
                    "final held-out loss",
                    (
                        rate_line("AdamW", adamw_sweep(size), results),
                        rate_line("Muon", muon_sweep(size), results),
                    ),
                    x_scale="log",
                ),
            ),
        )


def adamw_sweep(size: Size) -> list[Setting]:
    """AdamW at each of its rates."""
    return [adamw(size, rate) for rate in size.adamw_rates]


def muon_sweep(size: Size) -> list[Setting]:
    """Muon at each of its rates."""
    return [plain(size, rate=rate) for rate in size.muon_rates]


def best(sweep: list[Setting], results: Results) -> Setting:
    """The setting of the lowest final loss."""
    return min(sweep, key=lambda setting: results[setting].final_loss)


def at_edge(chosen: Setting, rates: tuple[float, ...]) -> bool:
    """Whether the best rate is the lowest or highest tried, so that a better one may lie beyond."""
    return chosen.rate in (min(rates), max(rates))


def rate_line(label: str, sweep: list[Setting], results: Results) -> Line:
    """Final loss over the rates of a sweep."""
    rates = [setting.rate for setting in sweep]
    return banded(label, rates, [[results[s].final_loss for s in sweep]], marked=True)


def sweep_table(size: Size, results: Results) -> Table:
    """Final loss and largest logit at every rate of both sweeps."""
    rows = [
        (s.optimizer, f"{s.rate:g}", f"{results[s].final_loss:.3f}", f"{results[s].peak_logit:.1f}")
        for s in (*adamw_sweep(size), *muon_sweep(size))
    ]
    return Table(("optimizer", "peak rate", "final held-out loss", "max logit"), tuple(rows))


def outcome_table(theirs: list[StudyResult], ours: list[StudyResult], target: float) -> Table:
    """All seeds of both: final loss, and tokens to the target."""
    rows = []
    for name, results in (("AdamW", theirs), ("Muon", ours)):
        needed = [result.tokens_to(target) for result in results]
        rows.append(
            (
                f"{name}, rate {results[0].setting.rate:g}",
                ", ".join(str(result.setting.seed) for result in results),
                spread([result.final_loss for result in results]),
                ", ".join("not reached" if n is None else f"{n / 1e3:.0f}k" for n in needed),
            )
        )
    header = ("optimizer", "seeds", "final held-out loss", f"tokens to {target:.3f}")
    return Table(header, tuple(rows))


def remarks(
    size: Size,
    chosen: list[Setting],
    theirs: list[StudyResult],
    ours: list[StudyResult],
    target: float,
) -> tuple[str, ...]:
    """What the figures say, whichever way they fell."""
    said = []
    needed = [n for n in (result.tokens_to(target) for result in ours) if n is not None]
    total = theirs[0].tokens
    if len(needed) == len(ours):
        shares = spread([n / total for n in needed], 2)
        said.append(f"Muon reaches AdamW's final loss with {shares} of AdamW's {total:,} tokens.")
    else:
        said.append(
            f"Muon reaches AdamW's final loss in only {len(needed)} of {len(ours)} runs: no gain "
            "is shown."
        )
    for setting, rates in zip(chosen, (size.adamw_rates, size.muon_rates), strict=True):
        if at_edge(setting, rates):
            said.append(
                f"The best rate of {setting.optimizer}, {setting.rate:g}, is at the edge of its "
                "sweep: a better one may lie beyond."
            )
    ratio = chosen[1].rate / chosen[0].rate
    said.append(
        "Both do best at one rate, as the scaling intends."
        if ratio == 1
        else f"Muon's best rate is {ratio:g} times AdamW's: at this size they share none."
    )
    peak = max(result.peak_logit for result in ours)
    said.append(
        f"At Muon's best rate the largest logit of any run is {peak:.1f}"
        + (
            ": MuonClip with tau 100 never clips there, and its runs are Muon's, bit for bit."
            if peak <= 100
            else ": MuonClip with tau 100 would clip there; see the study of QK-Clip."
        )
    )
    return tuple(said)
