"""The verbs that operations begin with: their forms, and which mean the same."""

from collections.abc import Mapping

# One class a line: verbs that a request may exchange for one another.
_CLASSES: Mapping[str, str] = {
    "read": "get retrieve fetch return list show read find search query describe view obtain "
    "enumerate display lookup load browse see receive",
    "create": "create add register insert make generate provision post",
    "update": "update modify edit change patch replace alter",
    "delete": "delete remove destroy erase purge",
    "start": "start launch begin run execute initiate trigger",
    "stop": "stop halt terminate end",
    "cancel": "cancel abort",
    "send": "send dispatch deliver",
    "attach": "attach associate link connect assign",
    "detach": "detach disassociate unlink disconnect unassign",
    "enable": "enable activate",
    "disable": "disable deactivate",
    "check": "check verify validate test",
    "compute": "calculate compute estimate",
    "restore": "restore recover undelete",
    "copy": "copy clone duplicate",
}  # fmt: skip
_SINGLE = (
    "accept acknowledge analyze apply approve archive authorize ban batch block book build "
    "capture close classify compare complete confirm convert count decline decrypt deploy "
    "deregister detect download duplicate encrypt export extend finish follow format grant hide "
    "import invite issue join leave like lock mark merge migrate move mute open optimize order "
    "parse pause pay pin play preview process promote publish pull push reboot record refresh "
    "refund reject release rename renew reorder report request reserve reset resend resolve "
    "restart resume retry revert revoke rotate save scan schedule select set share sign simulate "
    "split star submit subscribe suspend swap switch sync tag transfer transform translate "
    "unarchive unblock unfollow unlock unmute unpublish unsubscribe untag upgrade upload vote "
    "withdraw charge claim upsert"
)
_PARTICIPLES = {
    "get": "got", "find": "found", "show": "shown", "read": "read", "see": "seen", "make": "made",
    "begin": "begun", "run": "run", "send": "sent", "build": "built", "hide": "hidden",
    "leave": "left", "pay": "paid", "set": "set", "split": "split", "withdraw": "withdrawn",
    "stop": "stopped", "ban": "banned", "pin": "pinned", "star": "starred", "swap": "swapped",
    "tag": "tagged", "untag": "untagged", "transfer": "transferred", "submit": "submitted",
    "begin ": "begun", "cancel": "cancelled", "abort": "aborted", "resend": "resent",
    "scan": "scanned", "unpin": "unpinned", "undo": "undone", "input": "input", "put": "put",
    "reset": "reset", "format": "formatted", "sync": "synced", "patch": "patched",
}  # fmt: skip
_NATURAL = {
    "read": ("get", "show", "find", "look up", "fetch", "retrieve"),
    "create": ("create", "add", "make", "set up"),
    "update": ("update", "change", "edit", "modify"),
    "delete": ("delete", "remove", "get rid of"),
    "start": ("start", "launch", "kick off"),
    "stop": ("stop", "shut down"),
    "send": ("send",),
    "check": ("check", "verify", "validate"),
    "compute": ("calculate", "work out", "compute"),
    "enable": ("enable", "turn on", "activate"),
    "disable": ("disable", "turn off", "deactivate"),
    "copy": ("copy", "clone", "duplicate"),
}  # fmt: skip

CLASS_OF: dict[str, str] = {
    **{verb: verb for verb in _SINGLE.split()},
    **{verb: name for name, verbs in _CLASSES.items() for verb in verbs.split()},
}


def third_person(verb: str) -> str:
    """'list' gives 'lists', 'copy' copies."""
    if verb.endswith("y") and verb[-2] not in "aeou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "x", "ch", "sh", "o")) else f"{verb}s"


def participle(verb: str) -> str:
    """'delete' gives 'deleted', 'send' sent."""
    if verb in _PARTICIPLES:
        return _PARTICIPLES[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    return f"{verb[:-1]}ied" if verb.endswith("y") and verb[-2] not in "aeou" else f"{verb}ed"


def gerund(verb: str) -> str:
    """'create' gives 'creating'."""
    if verb.endswith("e") and not verb.endswith("ee"):
        return f"{verb[:-1]}ing"
    doubled = verb in _PARTICIPLES and _PARTICIPLES[verb].startswith(verb + verb[-1])
    return f"{verb}{verb[-1]}ing" if doubled or verb in ("get", "run", "set") else f"{verb}ing"


BASE_OF: dict[str, str] = {
    **{third_person(verb): verb for verb in CLASS_OF},
    **{verb: verb for verb in CLASS_OF},
}
# British spellings and two words for one.
BASE_OF |= {"analyse": "analyze", "analyses": "analyze", "authorise": "authorize"}


def natural_verbs(verb: str) -> tuple[str, ...]:
    """What a user may say instead of `verb`, itself among it."""
    return (verb, *_NATURAL.get(CLASS_OF[verb], ()))


def same_class(verb: str) -> tuple[str, ...]:
    """The verbs of `verb`'s class, one word each, as a tool may be named."""
    return tuple(_CLASSES[CLASS_OF[verb]].split()) if CLASS_OF[verb] in _CLASSES else (verb,)
