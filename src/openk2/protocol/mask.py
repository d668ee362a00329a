"""What an output may say next, as the token generator sees it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TokenMask(Protocol):
    """Constrains the output of one request; whoever samples asks it before every token.

    Both methods may be called from any one thread at a time.
    """

    def fill(self, allowed: NDArray[np.int32]) -> bool:
        """Write the ids that may come next: bit i % 32 of word i // 32 says whether id i may.

        allowed: [ceil(V / 32)] words, any content before. Returns False, with the words as they
        were, if every id may. At least one id always may.
        """
        ...

    def accept(self, token_id: int) -> bool:
        """The id that was chosen. False if it is not taken after all: nothing has changed but
        what `fill` gives, which is to be asked again; the id chosen out of that one is taken.

        An output near its last token is told so: an id that leaves too little room to end
        properly is seen only when it is chosen.
        Where only one text may follow, `fill` gives its usual ids, and others that spell it are
        taken all the same. Raises ValueError for an id behind which the output cannot obey;
        nothing has changed.
        """
        ...
