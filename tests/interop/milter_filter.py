"""A filter on libmilter (pymilter) that does to a message what its subject says: `milter_filter.py PORT`."""

import sys

import Milter


class Every(Milter.Base):
    def __init__(self):
        self.subject, self.size = "", 0

    def envrcpt(self, recipient, *_):
        if "nobody-by-filter" in recipient:
            self.setreply("550", "5.1.1", "the filter knows nobody of that name")
            return Milter.REJECT
        return Milter.CONTINUE

    def envfrom(self, sender, *_):
        self.subject, self.size = "", 0
        return Milter.CONTINUE

    def header(self, name, value):
        if name.lower() == "subject":
            self.subject = value
        return Milter.CONTINUE

    def body(self, piece):
        self.size += len(piece)
        return Milter.CONTINUE

    def eom(self):
        do = self.subject
        if do == "reject":
            return Milter.REJECT
        if do == "tempfail":
            return Milter.TEMPFAIL
        if do == "reply":
            self.setreply("554", "5.6.0", "one", "two")
            return Milter.REJECT
        if do == "discard":
            return Milter.DISCARD
        if do == "quarantine":
            self.quarantine("to be looked at")
        if do == "headers":
            self.addheader("X-Size", str(self.size))
            self.addheader("X-Top", f"queue {self.getsymval('i')}\n\tfolded", 0)
            self.chgheader("Subject", 1, "changed")
            self.chgheader("X-Gone", 1, "")
        if do == "body":
            self.progress()
            self.replacebody(b"another body\r\n" * 20_000)
        if do == "envelope":
            self.addrcpt("<bob@ours.example>")
            self.delrcpt("<alice@ours.example>")
            self.chgfrom("<new@elsewhere.example>")
        return Milter.CONTINUE


Milter.factory = Every
Milter.set_flags(Milter.ADDHDRS | Milter.CHGBODY | Milter.ADDRCPT | Milter.DELRCPT | Milter.CHGHDRS
                 | Milter.QUARANTINE | Milter.CHGFROM)
Milter.runmilter("filter", f"inet:{sys.argv[1]}@127.0.0.1", 30)
