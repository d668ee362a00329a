"""`ThoughtSigner`: signatures of thoughts, which show that this server's model wrote them.

Anthropic's clients return a thinking block as they got it. What verifies goes back into the prompt
as the model's own thought. What does not is dropped: another model wrote it, or somebody who wants
words in the model's mouth. Refusing it would end a session that changed its model for ever.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

_VERSION = b"\x01"
_PURPOSE = b"openk2 thought\x00"
MIN_KEY_BYTES = 16


class ThoughtSigner:
    """key: at least MIN_KEY_BYTES; None: a random one, so that signatures end with the process.

    Raises ValueError for a shorter key.
    """

    def __init__(self, key: bytes | None = None) -> None:
        if key is not None and len(key) < MIN_KEY_BYTES:
            raise ValueError(
                f"the key of signatures has {len(key)} bytes: it needs {MIN_KEY_BYTES} or more"
            )
        self._key = secrets.token_bytes(32) if key is None else key

    def sign(self, thought: str) -> str:
        """The signature: a version byte and an HMAC-SHA256, in base64."""
        return base64.b64encode(_VERSION + self._digest(thought)).decode()

    def verifies(self, thought: str, signature: object) -> bool:
        """Whether this key signed this thought; False for whatever else a client sends."""
        if not isinstance(signature, str):
            return False
        try:
            given = base64.b64decode(signature, validate=True)
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(given, _VERSION + self._digest(thought))

    def _digest(self, thought: str) -> bytes:
        # A lone surrogate, which JSON can hold, has no UTF-8 but must not fail.
        data = _PURPOSE + thought.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, data, hashlib.sha256).digest()
