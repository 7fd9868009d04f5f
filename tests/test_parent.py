import subprocess
import sys

CHILD = """
import os, sys, threading
from rootpainter_rootfm.parent import when_gone

gone = threading.Event()
when_gone(gone.set)
print("standard input:", os.read(0, 1), "gone:", gone.is_set(), flush=True)
gone.wait()
print("gone", flush=True)
"""


def test_a_process_learns_that_its_parent_is_gone_and_leaves_standard_input_alone_meanwhile():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", CHILD], text=True, bufsize=1, **pipes) as child:
        # Empty at once, though the pipe is open: nothing that looks at standard input waits.
        assert child.stdout.readline() == "standard input: b'' gone: False\n"
        child.stdin.write("what is said does not matter\n")
        child.stdin.close()
        assert child.stdout.readline() == "gone\n"
    assert child.returncode == 0
