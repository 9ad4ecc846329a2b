"""A program in a terminal of its own, played by a test: keys go in, what it draws comes out as text.

Comes in: the command. Goes out: the text since the last step, without the terminal's control sequences. Nothing here
waits for a time: a step ends when the text that it waits for has been drawn, or fails with all that was.
"""

import fcntl, os, pty, re, select, struct, subprocess, termios, time

CONTROL = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78DEHMNOZc])|[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Terminal:
    def __init__(self, *command, environment=None, rows=40, columns=120, cwd=None):
        self.name = str(command[0])
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen([str(c) for c in command], stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                                        close_fds=True, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", **(environment or {})})
        os.close(slave)
        self.drawn, self.seen = b"", 0

    def read(self, seconds):
        """Takes what is drawn within so many seconds; False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # what Linux answers when the other end is closed
            return False
        self.drawn += piece
        return bool(piece)

    def text(self):
        return CONTROL.sub(b"", self.drawn[self.seen:]).decode(errors="replace")

    def expect(self, *words, seconds=30):
        """Waits until one of the words has been drawn since the last step, and returns it."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            for word in words:
                if word in text:
                    self.seen = len(self.drawn)
                    return word
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {self.name} to draw {words}; it drew:\n{text[-3000:]}")
            if not self.read(0.2):
                raise AssertionError(f"{self.name} ended before it drew {words}; it drew:\n{text[-3000:]}")

    def keys(self, keys):
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def step(self, keys, *words, **more):
        self.keys(keys)
        return self.expect(*words, **more)

    def ends(self, seconds=60):
        """Waits for the program's end; returns all that it drew."""
        end = time.monotonic() + seconds
        while self.read(0.2):
            if self.process.poll() is not None and not select.select([self.master], [], [], 0)[0]:
                break
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} did not end; it drew:\n{self.text()[-3000:]}")
        self.process.wait(10)
        return self.drawn

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
