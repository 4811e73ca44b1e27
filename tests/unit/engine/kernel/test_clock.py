import threading
from queue import SimpleQueue

from occopus_core.engine.kernel.clock import SystemClock


def test_a_wait_that_is_over_at_once_ends():
    """The queue by itself waits for ever, about once in ten thousand times."""
    clock, ended = SystemClock(), threading.Event()

    def wait():
        for _ in range(100_000):
            assert clock.wait(SimpleQueue(), 1e-6) is None
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    assert ended.wait(60)


def test_what_is_there_is_had_at_once():
    inbox = SimpleQueue()
    inbox.put(print)
    assert SystemClock().wait(inbox, None) is print
