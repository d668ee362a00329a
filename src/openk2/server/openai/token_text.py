"""`token_text`: a token as text, also if it is not whole characters."""


def token_text(token: bytes) -> str:
    """The token's text, or OpenAI's `bytes:\\xe9\\x9b` if its bytes are not UTF-8."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)
