"""A running peer: lines in, lines out."""

import queue
import subprocess
import tempfile
import threading

START_SECONDS = 60  # connecting and starting; a peer that needs longer is broken
STOP_SECONDS = 20


class Process:
    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(command, env=env, text=True, bufsize=1,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.child.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def send(self, line: str) -> None:
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def next(self, timeout: float) -> str:
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise RuntimeError(f"{self.name} said nothing for {timeout:.0f} s\n{self.error_text()}") from None
        if line is None:
            raise RuntimeError(f"{self.name} ended early\n{self.error_text()}")
        return line

    def expect(self, word: str, timeout: float = START_SECONDS) -> list[str]:
        """The words after `word` in the next line that begins with it."""
        while True:
            first, *rest = self.next(timeout).split()
            if first == word:
                return rest

    @property
    def name(self) -> str:
        return " ".join(self.child.args)

    def error_text(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-4000:]

    def stop(self) -> None:
        """Ends standard input, which asks the peer to finish; kills it when it does not."""
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def call(command: list[str], env: dict[str, str]) -> str:
    """Runs a verb to its end and returns its standard output."""
    done = subprocess.run(command, env=env, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return done.stdout
