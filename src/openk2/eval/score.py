"""`ToolCallScore`: the measures over judged turns, in all and by kind of turn."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from openk2.eval.share import Share, clustered_share
from openk2.eval.turns import KINDS
from openk2.eval.verdict import FAULTS, Verdict

LATER = "several_turns"


@dataclass(frozen=True)
class Measure:
    """A share: what counts of each turn, and of what. key: its name as JSON."""

    key: str
    name: str
    of: str
    part: Callable[[Verdict], int]
    whole: Callable[[Verdict], int]


MEASURES = (
    Measure(
        "trigger_f1", "trigger F1", "calling turns of the reference and of the model",
        lambda v: 2 * (v.needed and v.called), lambda v: v.needed + v.called,
    ),
    Measure(
        "no_call_share", "no call when none is needed",
        "turns where the reference answers the user without a call",
        lambda v: _free(v) and v.answered, lambda v: _free(v),
    ),
    Measure(
        "right_tool_of_calls", "right tool, of calls", "turns that need a call and got one",
        lambda v: v.right_tool, lambda v: v.needed and v.called,
    ),
    Measure(
        "right_tool_share", "right tool, of needed", "turns that need a call",
        lambda v: v.right_tool, lambda v: v.needed,
    ),
    Measure(
        "exact_of_calls", "exact arguments, of calls", "turns that need a call and got one",
        lambda v: v.exact, lambda v: v.needed and v.called,
    ),
    Measure(
        "exact_share", "exact arguments, of needed", "turns that need a call",
        lambda v: v.exact, lambda v: v.needed,
    ),
    Measure(
        "valid_share", "valid arguments", "calls of the model",
        lambda v: v.valid_calls, lambda v: v.calls,
    ),
    Measure(
        "told_share", "result told", "turns where the reference tells a value of the result",
        lambda v: v.told, lambda v: v.tellable,
    ),
    Measure(
        "same_text_share", "word for word", "turns where the reference answers the user without "
        "a call", lambda v: _free(v) and not v.called and v.same_text, lambda v: _free(v),
    ),
    Measure("right_share", "turn right", "turns", lambda v: v.fault is None, lambda v: 1),
)  # fmt: skip


@dataclass(frozen=True)
class ToolCallScore:
    """Judged turns, and what is counted of them. Each share has its interval (`share`).

    errors: turns that the server never answered; no share counts them. in_all: turns that the
    conversations have, of which these were drawn; None if nobody says.
    """

    verdicts: tuple[Verdict, ...]
    errors: int = 0
    in_all: int | None = None

    @property
    def turns(self) -> int:
        """How many there are."""
        return len(self.verdicts)

    @property
    def cut_off(self) -> int:
        """Turns whose answer the output cap ended."""
        return sum(verdict.cut_off for verdict in self.verdicts)

    def share(self, key: str) -> Share:
        """The measure of MEASURES with this key. Raises KeyError."""
        measure = {measure.key: measure for measure in MEASURES}[key]
        clusters: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for verdict in self.verdicts:
            counts = clusters[verdict.turn.conversation]
            counts[0] += measure.part(verdict)
            counts[1] += measure.whole(verdict)
        return clustered_share((part, whole) for part, whole in clusters.values())

    def by_kind(self) -> dict[str, "ToolCallScore"]:
        """The scores of the kinds that there are; LATER: turns after the user's first request."""
        groups = {kind: [v for v in self.verdicts if v.turn.kind == kind] for kind in KINDS}
        groups[LATER] = [verdict for verdict in self.verdicts if verdict.turn.later]
        return {kind: ToolCallScore(tuple(found)) for kind, found in groups.items() if found}

    def worst(self, count: int = 10) -> list[Verdict]:
        """Turns that went wrong: the worst fault of each kind, then the next of each, and so on."""
        kinds = [_faulty(self.verdicts, kind) for kind in KINDS]
        rounds = chain.from_iterable(zip_longest(*kinds))
        return [verdict for verdict in rounds if verdict is not None][:count]

    def to_json(self, keep_misses: int = 20) -> dict[str, Any]:
        """Shares (None of nothing), intervals, counts, kinds and the worst turns as plain JSON."""
        shares = {measure.key: self.share(measure.key) for measure in MEASURES}
        return {
            **{key: share.value for key, share in shares.items()},
            **self._counts(),
            "intervals": {key: share.to_json() for key, share in shares.items()},
            "kinds": {
                kind: {
                    "turns": score.turns,
                    "cut_off": score.cut_off,
                    **{m.key: score.share(m.key).to_json() for m in MEASURES},
                }
                for kind, score in self.by_kind().items()
            },
            "misses": [miss_json(verdict) for verdict in self.worst(keep_misses)],
        }

    def _counts(self) -> dict[str, int | None]:
        verdicts = self.verdicts
        return {
            "turns": len(verdicts),
            "turns_in_all": self.in_all,
            "cut_off": self.cut_off,
            "errors": self.errors,
            "conversations": len({v.turn.conversation for v in verdicts}),
            "reference_turns": sum(v.needed for v in verdicts),
            "called_turns": sum(v.called for v in verdicts),
            "both_turns": sum(v.needed and v.called for v in verdicts),
            "right_tool": sum(v.right_tool for v in verdicts),
            "exact": sum(v.exact for v in verdicts),
            "calls": sum(v.calls for v in verdicts),
            "valid_calls": sum(v.valid_calls for v in verdicts),
            "result_turns": sum(v.tellable for v in verdicts),
            "told": sum(v.told for v in verdicts),
        }


def miss_json(verdict: Verdict) -> dict[str, str]:
    """A turn that went wrong: kind, fault, the last message, what was expected, what came."""
    return {
        "kind": verdict.turn.kind,
        "fault": verdict.fault or "",
        "last_message": verdict.turn.last_message,
        "expected": verdict.expected,
        "got": verdict.got,
    }


def _free(verdict: Verdict) -> bool:
    """Whether the user is to be answered without a call; answers after results count elsewhere."""
    return not verdict.needed and not verdict.turn.after_result


def _faulty(verdicts: Iterable[Verdict], kind: str) -> Sequence[Verdict]:
    wrong = [v for v in verdicts if v.turn.kind == kind and v.fault is not None]
    return sorted(wrong, key=lambda v: FAULTS.index(v.fault or ""))
