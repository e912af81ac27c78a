"""Standard output is for results alone: what Ray prints there of its machines goes to the log."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

logger = logging.getLogger(__name__)


class _Log(io.TextIOBase):
    """Takes what is printed."""

    def write(self, text: str) -> int:
        if text.strip():
            logger.info("%s", text.strip())
        return len(text)


@contextmanager
def ray_in_the_log() -> Iterator[None]:
    """While the block runs nothing is printed: for the command line, which prints when its work is done."""
    with redirect_stdout(_Log()):
        yield
