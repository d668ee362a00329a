"""What a token of training data is to the loss."""

from enum import IntEnum


class Role(IntEnum):
    """As packed rows store it, one byte a token; a recipe's `[loss]` weighs each.

    A larger number matters more: a token that is parts of two has the larger one.
    """

    NOT_LEARNED = 0
    STRUCTURE = 1  # text and the punctuation of calls
    NAME = 2  # of a tool, in a call and in the reason before it; and the markup of calls
    KEY = 3  # of a call's arguments
    VALUE = 4  # of a call's arguments
