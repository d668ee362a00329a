"""Every limit of a request and its connection; docs/design/server.md has them as a table.

How long a prompt may be is known where the model's context is: `generation.refuse_too_long`. What
a schema may ask for is the grammar's to say.
"""

# Anthropic's own limit. A full context of 131,072 tokens is some 0.5 MB of text, six times that in
# JSON's escapes, but agents also send back images, of which a prompt has only a note. Reading a
# body of this size stalls the answers in flight for a quarter of a second.
MAX_BODY_BYTES = 32 * 1024 * 1024
# The bodies of all requests in progress. Read, a body takes up to five times its size.
MAX_HELD_BYTES = 16 * MAX_BODY_BYTES
# Lists, objects, texts and numbers of a body, token ids excepted.
MAX_VALUES = 200_000
# Everything between commas in a body, token ids included: 8 contexts of 131,072 are fewer.
MAX_ITEMS = 1_500_000
# Lists in lists; what is read by recursion has Python's 1,000 frames for it.
MAX_DEPTH = 100
MAX_DIGITS = 40
MAX_MESSAGES = 10_000
MAX_TOOLS = 1_024
MAX_PARTS = 10_000  # of a message: content parts, blocks, calls
MAX_CHOICES = 128
MAX_ANSWERS = 512  # prompts times choices
# Prompt tokens that are sent back, in all answers, times what is said of each: the token and its
# likeliest ones. An echo is read on the event loop in one go: a second or so.
MAX_ECHOED = 2_000_000
# The same of all tokens of an answer that is sent whole, and so kept until its last choice ends:
# half a gigabyte or so.
MAX_SCORES = 4_000_000
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1_000
MAX_BIASES = 1_024
MAX_MODEL_CHARACTERS = 1_000

HEADER_SECONDS = 20.0  # for a request's headers to arrive
BODY_SECONDS = 60.0  # from there to the end of its body
IDLE_SECONDS = 5  # that a connection stays open after an answer
UNREAD_SECONDS = 120.0  # that a client may leave an answer unread
SILENT_SECONDS = 15.0  # of a stream; nginx waits 60 for a byte, Node's fetch 300
CUT_SECONDS = 2  # for answers cut off by a stop of the server to free what they hold
# Beyond this the connection that has waited the longest without a request is closed.
MAX_CONNECTIONS = 2_048
