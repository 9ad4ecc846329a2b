"""A client of IMAP that costs little: it sends, reads large pieces until the tagged reply, and looks at nothing before the
clock has stopped. What it can do at all is its floor: see `floor`."""

import os, re, socket, threading, time

#: Octets read at once, and for how many there is room before the clock starts; a longer answer makes more.
PIECE, ROOM = 1 << 20, 1 << 28


def make_room(octets):
    """For answers that are longer than usual."""
    if octets > len(Client.buffer):
        Client.buffer = bytearray(b"x") * octets


class Failed(Exception):
    """The server said NO or BAD."""


class Client:
    """A session that has logged in."""

    #: Answers are put one over the other; what is kept of them is copied after the clock has stopped. Written once, so that
    #: the kernel has given the memory before.
    buffer = bytearray(b"x") * ROOM

    def __init__(self, port, user, password, tls=None):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=900)
        if tls:
            self.connection = tls.wrap_socket(self.connection, server_hostname="localhost")
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = 0
        assert self.connection.recv(65536).startswith(b"* OK")
        self.ask(f'LOGIN {user} "{password}"')

    def tag(self):
        self.number += 1
        return b"t%d" % self.number

    def answer(self, tag):
        """All up to the tagged reply's end."""
        buffer, at = Client.buffer, 0
        with memoryview(buffer) as view:
            while True:
                assert at + PIECE <= len(buffer), "the answer is too long"
                count = self.connection.recv_into(view[at:at + PIECE])
                assert count, "the server closed"
                at += count
                # The last line, which may have begun in an earlier piece.
                if buffer.endswith(b"\r\n", 0, at) and buffer.startswith(tag + b" ", buffer.rfind(b"\n", 0, at - 2) + 1):
                    self.clock = time.perf_counter()
                    return bytes(view[:at])

    def ask(self, command):
        """(seconds, answer) of one command."""
        tag = self.tag()
        line = tag + b" " + command.encode() + b"\r\n"
        start = time.perf_counter()
        self.connection.sendall(line)
        said = self.answer(tag)
        checked(said, command)
        return self.clock - start, said

    def send_all(self, pieces, last):
        """Sends all pieces while their answers are read; until the one with the tag `last`."""
        start = time.perf_counter()

        def send():
            for piece in pieces:
                self.connection.sendall(piece)

        sender = threading.Thread(target=send)
        sender.start()
        said = self.answer(last)
        sender.join()
        return self.clock - start, said

    def send_each(self, pieces, tags):
        """Sends each piece after the answer to the one before."""
        start, said = time.perf_counter(), []
        for piece, tag in zip(pieces, tags):
            self.connection.sendall(piece)
            said.append(self.answer(tag))
        return time.perf_counter() - start, b"".join(said)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def checked(said, command):
    last = said[said.rfind(b"\r\n", 0, -2) + 1:].strip()
    if last.split()[1] != b"OK":
        raise Failed(f"{command[:80]}: {last[:200]}")


def floor(said):
    """How long the client takes for an answer that costs nobody anything to make: another process sends these octets."""
    listener = socket.create_server(("127.0.0.1", 0))
    tag = said[said.rfind(b"\r\n", 0, -2) + 1:].strip().split()[0]
    child = os.fork()
    if child == 0:
        connection, _ = listener.accept()
        while connection.recv(4096):
            connection.sendall(said)
        os._exit(0)
    client = Client.__new__(Client)
    client.connection = socket.create_connection(listener.getsockname())
    best = []
    for _ in range(5):
        start = time.perf_counter()
        client.connection.sendall(b"x\r\n")
        client.answer(tag)
        best.append(client.clock - start)
    client.close()
    listener.close()
    os.waitpid(child, 0)
    return sorted(best)[2]


LITERAL = re.compile(rb"\{(\d+)\}\r\n")


def responses(said):
    """The untagged responses of an answer, each with its literals in it."""
    at, line = 0, 0
    while at < len(said):
        end = said.index(b"\r\n", at) + 2
        literal = LITERAL.search(said, max(line, end - 16), end)
        if literal and literal.end() == end:
            at = end + int(literal[1])
            continue
        yield said[line:end]
        at = line = end


TOKEN = re.compile(rb'\{(\d+)\}\r\n|"((?:[^"\\]|\\.)*)"|([()])|([^\s()"]+)')


def parsed(text):
    """A response as nested lists; texts in small letters, quoted or literal alike, NIL as None."""
    stack, at = [[]], 0
    while token := TOKEN.search(text, at):
        at = token.end()
        if token[1] is not None:
            stack[-1].append(text[at:at + int(token[1])].lower())
            at += int(token[1])
        elif token[2] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", token[2]).lower())
        elif token[3] == b"(":
            stack.append([])
        elif token[3] == b")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(None if token[4] == b"NIL" else token[4].lower())
    return stack[0]
