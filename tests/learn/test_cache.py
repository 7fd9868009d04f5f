import pickle

import numpy as np

from rootpainter_rootfm.learn.cache import ArrayCache

SIZE = np.zeros(100).nbytes


def test_values_are_made_once_and_stay_within_the_limit():
    cache = ArrayCache(2 * SIZE)
    first = cache.get("a", lambda: np.zeros(100))
    assert cache.get("a", lambda: np.ones(100)) is first
    for key in "bc":
        cache.get(key, lambda: np.zeros(100))
    assert cache.nbytes == 2 * SIZE
    assert cache.get("a", lambda: np.ones(100)) is not first


def test_what_was_used_last_is_kept():
    cache = ArrayCache(2 * SIZE)
    first = cache.get("a", lambda: np.zeros(100))
    cache.get("b", lambda: np.zeros(100))
    cache.get("a", lambda: np.ones(100))
    cache.get("c", lambda: np.zeros(100))
    assert cache.get("a", lambda: np.ones(100)) is first


def test_a_value_larger_than_the_cache_is_kept_until_the_next():
    cache = ArrayCache(1)
    first = cache.get("a", lambda: np.zeros(100))
    assert cache.get("a", lambda: np.ones(100)) is first
    cache.get("b", lambda: np.zeros(100))
    assert cache.nbytes == SIZE


def test_another_process_starts_with_an_empty_cache_of_the_same_limit():
    cache = ArrayCache(2 * SIZE)
    cache.get("a", lambda: np.zeros(100))
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.limit, copy.nbytes) == (2 * SIZE, 0)
