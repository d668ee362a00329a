"""How an answer says that it does not know, or cannot: what counts as saying so."""

# Regular expressions, for search without regard to case. Typed apostrophes may be curly.
UNKNOWN = (
    r"(?:do not|don['’]t|did not|didn['’]t) (?:really |actually )?(?:know|understand)"
    r"|\b(?:cannot|can['’]t|can not|unable|not able|unknown|unsure)\b"
    r"|\bnot (?:sure|aware|familiar|known)\b|never heard|no (?:idea|information)"
    r"|(?:don['’]t|do not) have (?:any )?(?:access|information)|beyond me|not told me"
)
# What serves nobody as an answer to a question of knowledge, but is right where a tool is lacking.
LACKING = UNKNOWN + r"|(?:no|not a|any|a) tool\b"
