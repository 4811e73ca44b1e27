import signal
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
    assert ended.wait(600)


def test_what_is_there_is_had_at_once():
    inbox = SimpleQueue()
    inbox.put(print)
    assert SystemClock().wait(inbox, None) is print


def test_a_signal_is_handled_although_another_thread_received_it():
    """As after SIGCONT and SIGTERM in quick succession: the kernel may then choose any thread."""
    inbox, over = SimpleQueue(), threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    before = signal.signal(signal.SIGUSR1, lambda *_: inbox.put(print))
    try:
        threading.Timer(0.05, signal.pthread_kill, (other.ident, signal.SIGUSR1)).start()
        assert SystemClock().wait(inbox, 60) is print
    finally:
        signal.signal(signal.SIGUSR1, before)
        over.set()
        other.join()
