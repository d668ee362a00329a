"""How ACEBench's worlds start, from its reference end states; and whether one ended as it should.

The data files say how a sample's Wi-Fi starts, not which messages, reminders, accounts, customers
and reservations there are. Every reference end state lists them all, and a sample changes few: an
entry's most frequent value is its value at the start. Entries made by calls have higher numbers.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openk2.eval.agents.phone import FIRST_MESSAGES, FIRST_REMINDERS

State = Sequence[Mapping[str, Mapping[str, Any]]]
Seed = dict[str, dict[str, Any]]
# Class and attribute in the data -> name of the seed's table, largest number of a first entry.
TABLES = {
    ("MessageApi", "inbox"): ("inbox", FIRST_MESSAGES),
    ("ReminderApi", "reminder_list"): ("reminder_list", FIRST_REMINDERS),
    ("FoodPlatform", "users"): ("accounts", None),
    ("Travel", "users"): ("customers", None),
    ("Travel", "reservations"): ("reservations", 4),
}


def seed_of(references: Iterable[State]) -> Seed:
    """Table -> entry -> its value at the start."""
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for part, attribute, value in attributes(references):
        table, last = TABLES.get((part, attribute), ("", None))
        if not table:
            continue
        for key, entry in entries(value):
            number = key.removeprefix("res_")
            if last is None or (number.isdecimal() and int(number) <= last):
                votes[table, key][json.dumps(entry, sort_keys=True)] += 1
    seed: Seed = {table: {} for table, _ in TABLES.values()}
    for (table, key), counts in sorted(votes.items()):
        seed[table][key] = json.loads(counts.most_common(1)[0][0])
    return seed


def attributes(references: Iterable[State]) -> Iterable[tuple[str, str, Any]]:
    """Class, attribute, value."""
    for reference in references:
        for part in reference:
            for name, values in part.items():
                for attribute, value in values.items():
                    yield name, attribute, value


def entries(value: Any) -> Iterable[tuple[str, Any]]:
    """The entries of a table, or of a list of reservations."""
    if isinstance(value, Mapping):
        return value.items()
    return [(entry["reservation_id"], entry) for entry in value]


def same_state(state: State, reference: State) -> bool:
    """The published rule: as many classes, and every attribute of each that the reference names.

    Of a table, the reference's entries must be there and equal; more entries are no fault. Lists
    are equal. A reference class that the world does not have (four are misspelt) is not compared.
    """
    if len(state) != len(reference):
        return False
    own = {name: values for part in state for name, values in part.items()}
    return all(
        same_attributes(own[name], wanted)
        for part in reference
        for name, wanted in part.items()
        if name in own
    )


def same_attributes(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Of one class."""
    for attribute, value in values.items():
        if attribute not in wanted:
            return False
        reference = wanted[attribute]
        if isinstance(reference, Mapping):
            if any(key not in value or value[key] != reference[key] for key in reference):
                return False
        elif value != reference:
            return False
    return True
