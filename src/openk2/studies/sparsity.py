"""Sparsity: more experts in all, as many active. Report 2.3, its sparsity scaling law."""

from dataclasses import replace
from itertools import pairwise

from openk2.record import Panel, Table, spread
from openk2.studies.curves import banded, loss_line
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting, plain
from openk2.studies.size import Size
from openk2.studies.study import Findings, Results


class SparsityStudy:
    """Loss at equal tokens and FLOPs to equal loss over the number of experts."""

    name = "sparsity"

    def plan(self, size: Size, done: Results) -> list[Setting]:
        """Each number of experts with two seeds; the size's own number shares other studies'."""
        return [s for experts in size.experts for s in settings(size, experts)]

    def findings(self, size: Size, results: Results) -> Findings:
        """Loss over sparsity, and what each needs for the loss of the least sparse."""
        runs = {n: [results[s] for s in settings(size, n)] for n in size.experts}
        losses = [[result.final_loss for result in group] for group in runs.values()]
        sparsities = [n / size.shape.num_experts_per_tok for n in size.experts]
        return Findings(
            title="Sparsity at fixed activated parameters",
            claim=(
                "Sparsity is experts over active experts. At fixed activated parameters loss "
                "falls as it grows: at a loss of 1.5, sparsity 48 needs 1.69, 1.39 and 1.15 times "
                "fewer FLOPs than 8, 16 and 32."
            ),
            method=(
                f"Muon at rate {size.rate:g}; {size.shape.num_experts_per_tok} experts of a token "
                "and one shared one throughout, of one size; only the router grows with the "
                "number of experts. FLOPs to a loss: those that a run has spent when its held-out "
                "loss first falls to the mean final loss of the least sparse."
            ),
            tables=(table(size, runs),),
            remarks=remarks(size, runs),
            panels=(
                Panel(
                    "Loss after all tokens",
                    "sparsity (experts / active)",
                    "final held-out loss",
                    (
                        banded(
                            "mean and range of the seeds",
                            sparsities,
                            list(zip(*losses, strict=True)),
                            marked=True,
                        ),
                    ),
                    x_scale="log",
                ),
                Panel(
                    "Held-out loss",
                    "tokens (millions)",
                    "nats a token",
                    tuple(
                        loss_line(f"sparsity {sparsity:g}", group)
                        for sparsity, group in zip(sparsities, runs.values(), strict=True)
                    ),
                ),
            ),
        )


def settings(size: Size, experts: int) -> list[Setting]:
    """Muon with so many experts, two seeds."""
    return [replace(plain(size), experts=experts, seed=seed) for seed in size.seeds[:2]]


def flops_to(result: StudyResult, loss: float) -> float | None:
    """Training FLOPs until the held-out loss first falls to `loss`; None if it never does."""
    tokens = result.tokens_to(loss)
    return None if tokens is None else tokens * result.flops_per_token


def saving(group: list[StudyResult], least: list[StudyResult]) -> float | None:
    """How many times fewer FLOPs `group` needs for the final loss of `least`, seeds averaged."""
    target = sum(result.final_loss for result in least) / len(least)
    needed = [n for n in (flops_to(result, target) for result in group) if n is not None]
    if len(needed) < len(group):
        return None
    spent = sum(result.tokens * result.flops_per_token for result in least) / len(least)
    return spent / (sum(needed) / len(needed))


def table(size: Size, runs: dict[int, list[StudyResult]]) -> Table:
    """A row for each number of experts."""
    least = runs[size.experts[0]]
    rows = []
    for experts, group in runs.items():
        first, times = group[0], saving(group, least)
        rows.append(
            (
                str(experts),
                f"{experts / size.shape.num_experts_per_tok:g}",
                f"{first.parameters / 1e6:.2f} M",
                f"{first.active / 1e6:.2f} M",
                f"{first.flops_per_token / 1e6:.2f} M",
                ", ".join(str(result.setting.seed) for result in group),
                spread([result.final_loss for result in group]),
                "not reached" if times is None else f"{times:.2f}x",
                str(max(result.rows[-1]["idle_experts"] for result in group)),
            )
        )
    header = (
        "experts",
        "sparsity",
        "parameters",
        "active",
        "training FLOPs a token",
        "seeds",
        "final held-out loss",
        "fewer FLOPs to the first row's loss",
        "idle experts, last step",
    )
    return Table(header, tuple(rows))


def remarks(size: Size, runs: dict[int, list[StudyResult]]) -> tuple[str, ...]:
    """What the figures say, whichever way they fell."""
    means = [sum(r.final_loss for r in group) / len(group) for group in runs.values()]
    widest = max(
        max(r.final_loss for r in group) - min(r.final_loss for r in group)
        for group in runs.values()
    )
    falls = all(later < earlier for earlier, later in pairwise(means))
    gain = means[0] - means[-1]
    active = size.shape.num_experts_per_tok
    return (
        ("Loss falls with every step in sparsity" if falls else "Loss does not fall throughout")
        + f": from {means[0]:.3f} to {means[-1]:.3f}, {gain:+.3f} nats gained over the sweep; "
        f"the widest range between two seeds is {widest:.3f}.",
        "The gain is larger than what seeds differ by."
        if gain > widest
        else "The gain is not larger than what seeds differ by: nothing is shown.",
        "An expert sees tokens in inverse proportion to the sparsity: each of the sparsest has "
        f"seen about {runs[size.experts[-1]][0].tokens * active / size.experts[-1]:,.0f}.",
    )
