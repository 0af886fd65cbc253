"""Runs a program at a terminal of its own, waits for a prompt, types half a line and Ctrl-C.

Arguments: the prompt, the program and its words. Prints as JSON how it ended, what was seen, and whether the terminal shows
what is typed, at the prompt and in the end.
"""

import json
import os
import pty
import sys
import termios


def shows(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # Nobody is at the other end any more.
        return b""


prompt, program = sys.argv[1].encode(), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)
seen = b""
while prompt not in seen:
    more = read(terminal)
    if not more:
        break
    seen += more
at_prompt = shows(terminal)
os.write(terminal, b"canary-half\x03")
while more := read(terminal):
    seen += more
_, status = os.waitpid(child, 0)
print(
    json.dumps(
        {
            "code": os.waitstatus_to_exitcode(status),
            "seen": seen.decode(),
            "shows_at_prompt": at_prompt,
            "shows_in_the_end": shows(terminal),
        }
    )
)
