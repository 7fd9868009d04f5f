import threading
import time

import pytest

from rootpainter_rootfm.segment import flow as flows
from rootpainter_rootfm.segment.flow import AHEAD, BEHIND, Flow


class Watched:
    """Items that know when they were read and written."""

    def __init__(self, count, cost=1, **changes):
        self.started, self.written, self.settled = [], [], []
        self.slow = threading.Event()
        self.slow.set()
        self.flow = Flow(count, self.read, lambda index: cost, lambda *item: self.settled.append(item))

    def read(self, index):
        self.started.append(index)
        return index * 10

    def write(self, index):
        self.slow.wait(10)
        self.written.append(index)
        return f"written {index}"


def threads_of_ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("rootfm-")]


def test_items_come_in_order_and_every_result_is_reported():
    watched = Watched(30)
    with watched.flow as flow:
        for index in range(30):
            assert flow.take(index) == index * 10
            if index % 3:
                flow.put(index, lambda index=index: watched.write(index))
            else:
                flow.finish(index, "nothing to write")
    expected = [(index, f"written {index}" if index % 3 else "nothing to write") for index in range(30)]
    assert sorted(watched.settled) == expected
    assert not threads_of_ours()


def test_reading_goes_ahead_but_not_far():
    watched = Watched(30)
    with watched.flow as flow:
        flow.take(0)
        deadline = time.monotonic() + 5
        while len(watched.started) < 1 + AHEAD and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert sorted(watched.started) == list(range(1 + AHEAD))
        flow.finish(0, "")


def test_items_beyond_the_budget_are_read_one_by_one_and_only_when_the_last_is_written(monkeypatch):
    monkeypatch.setattr(flows, "BUDGET", 100)
    watched = Watched(4, cost=1000)
    with watched.flow as flow:
        for index in range(4):
            flow.take(index)
            time.sleep(0.01)
            assert watched.started == list(range(index + 1))
            assert watched.written == list(range(index))
            flow.put(index, lambda index=index: watched.write(index))


def test_what_an_item_costs_is_found_out_beside_the_work_and_before_it_is_asked_for():
    asked, threads, ahead = [], set(), threading.Event()

    def cost(index):
        asked.append(index)
        threads.add(threading.current_thread())
        if index == 1 + AHEAD:
            ahead.set()
        return 1

    with Flow(30, lambda index: index, cost, lambda *item: None) as flow:
        flow.take(0)
        assert ahead.wait(5), "the next call to take need not wait for it"
        flow.finish(0, "")
    assert asked == list(range(2 + AHEAD)) and threading.main_thread() not in threads


def test_the_work_waits_for_a_slow_disk():
    watched = Watched(50)
    watched.slow.clear()
    with watched.flow as flow:
        for index in range(BEHIND + 1):
            flow.take(index)
            assert not watched.written
            if index == BEHIND:
                threading.Timer(0.2, watched.slow.set).start()
                started = time.monotonic()
            flow.put(index, lambda index=index: watched.write(index))
        assert time.monotonic() - started > 0.1, "the one too many was not waited for"


def test_an_interruption_lets_what_is_being_written_end_and_drops_the_rest():
    watched = Watched(50)
    watched.slow.clear()
    threading.Timer(0.1, watched.slow.set).start()
    with pytest.raises(KeyboardInterrupt), watched.flow as flow:
        flow.take(0)
        flow.put(0, lambda: watched.write(0))
        flow.take(1)
        raise KeyboardInterrupt
    assert watched.settled == [(0, "written 0")]
    assert not threads_of_ours()
    assert max(watched.started) <= 1 + AHEAD
