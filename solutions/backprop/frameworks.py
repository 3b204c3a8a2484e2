"""PyTorch and TensorFlow beside NumPy, as in chapters 9 to 12."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what a library's compiled code says while it is imported from the notebook: ``with quietly(): import …``.

    TensorFlow reports at every start which instructions it uses and that it has found no GPU, past Python and past its
    own setting ``TF_CPP_MIN_LOG_LEVEL``, which is heeded only after the import. Exceptions come through.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
