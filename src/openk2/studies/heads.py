"""Heads: twice as many for a little loss, and what they cost in inference. Report 2.3."""

from dataclasses import replace

from openk2.architecture import ModelConfig, forward_flops
from openk2.record import Panel, Table, spread
from openk2.studies.curves import loss_line
from openk2.studies.flops import absorbed_attention_flops, attention_flops
from openk2.studies.result import StudyResult
from openk2.studies.setting import Setting, plain
from openk2.studies.size import Size
from openk2.studies.study import Findings, Results

CONTEXT = 131072


class HeadsStudy:
    """Loss with heads once and twice, at equal tokens; K2's inference FLOPs with both."""

    name = "heads"

    def plan(self, size: Size, done: Results) -> list[Setting]:
        """Both numbers of heads with every seed."""
        return [s for heads in size.heads for s in settings(size, heads)]

    def findings(self, size: Size, results: Results) -> Findings:
        """Losses and their relative difference, seed by seed."""
        once, twice = ([results[s] for s in settings(size, heads)] for heads in size.heads)
        return Findings(
            title="Twice as many heads",
            claim=(
                "At equal tokens twice the heads lower the validation loss by only 0.5 to 1.2 %, "
                "and cost 83 % more inference FLOPs at a context of 128k: hence 64 heads, not 128."
            ),
            method=(
                f"Muon at rate {size.rate:g}, all else equal. The gain of a seed is the loss with "
                f"{size.heads[0]} heads minus that with {size.heads[1]}, over the former. FLOPs "
                "are arithmetic over K2's published shape, weights that a token meets included."
            ),
            tables=(table(once, twice), inference_table()),
            remarks=remarks(once, twice),
            panels=(
                Panel(
                    "Held-out loss",
                    "tokens (millions)",
                    "nats a token",
                    (
                        loss_line(f"{size.heads[0]} heads", once),
                        loss_line(f"{size.heads[1]} heads", twice),
                    ),
                ),
            ),
        )


def settings(size: Size, heads: int) -> list[Setting]:
    """Muon with so many heads, every seed."""
    return [replace(plain(size), heads=heads, seed=seed) for seed in size.seeds]


def gains(once: list[StudyResult], twice: list[StudyResult]) -> list[float]:
    """The relative gain in final loss of each seed."""
    pairs = zip(once, twice, strict=True)
    return [(one.final_loss - two.final_loss) / one.final_loss for one, two in pairs]


def table(once: list[StudyResult], twice: list[StudyResult]) -> Table:
    """A row for each number of heads."""
    rows = [
        (
            str(group[0].setting.heads),
            f"{group[0].parameters / 1e6:.2f} M",
            f"{group[0].flops_per_token / 1e6:.2f} M",
            ", ".join(str(result.setting.seed) for result in group),
            spread([result.final_loss for result in group]),
        )
        for group in (once, twice)
    ]
    header = ("heads", "parameters", "training FLOPs a token", "seeds", "final held-out loss")
    return Table(header, tuple(rows))


def inference_table() -> Table:
    """K2 with 64 and 128 heads at a context of 128k, in FLOPs a token, three ways of counting."""
    few = ModelConfig()
    many = replace(few, num_attention_heads=2 * few.num_attention_heads)
    rows = []
    for name, count in COUNTS:
        least, most = count(few), count(many)
        rows.append(
            (name, f"{least / 1e9:.0f} G", f"{most / 1e9:.0f} G", f"{most / least - 1:+.0%}")
        )
    return Table(("K2, FLOPs a token at 128k", "64 heads", "128 heads", "difference"), tuple(rows))


def matrix_flops(config: ModelConfig) -> float:
    """Of one token through every matrix: all but what attention does with keys and values."""
    return forward_flops(config, 1) - attention_flops(config, 1)


def mean_of_prompt(config: ModelConfig) -> float:
    """A prompt's average token: it sees half of the context."""
    return matrix_flops(config) + attention_flops(config, CONTEXT / 2)


def last_of_context(config: ModelConfig) -> float:
    """The last token, which sees all of it, over expanded keys and values."""
    return matrix_flops(config) + attention_flops(config, CONTEXT)


def decoded_over_latents(config: ModelConfig) -> float:
    """The last token, decoded over latents."""
    return matrix_flops(config) + absorbed_attention_flops(config, CONTEXT)


COUNTS = (
    ("mean token of a prompt", mean_of_prompt),
    ("last token, keys expanded", last_of_context),
    ("last token, decoded over latents", decoded_over_latents),
)


def remarks(once: list[StudyResult], twice: list[StudyResult]) -> tuple[str, ...]:
    """What the figures say, whichever way they fell."""
    gained = [100 * gain for gain in gains(once, twice)]
    losses = [result.final_loss for result in once]
    seeds = (max(losses) - min(losses)) / min(losses)
    if min(gained) > 0:
        word = "Every seed gains."
    elif max(gained) < 0:
        word = "Every seed loses."
    else:
        word = "Some seeds gain, some lose."
    return (
        f"Gain in final loss from twice the heads: {spread(gained, 2)} %. {word}",
        f"Final losses of one shape differ between seeds by {100 * seeds:.2f} %.",
        "The report does not say how it counts inference FLOPs; its 83 % lies between our first "
        "two ways of counting.",
    )
