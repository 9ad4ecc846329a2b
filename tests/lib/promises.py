"""Whether a server that came back keeps what it promised. Comes in: the server, the load's ledger, the sink elsewhere.
Goes out: nothing, or an AssertionError that names the broken promise."""

import asyncio, poplib, re, time

from load import ACCOUNTS, ELSEWHERE, Imap, look


async def verify(server, ledger, sink):
    """After a restart: all that was promised is there, and as it was."""
    assert not (early := [e for e in ledger.seen if e not in ACCOUNTS]), early
    places = {}
    for account in ACCOUNTS:
        imap = await Imap.open(server.imap)
        await imap.login(account, "secret")
        lines, _ = await imap.command("SELECT INBOX")
        text = b" ".join(lines)
        validity, uid_next = (int(re.search(rb"%s (\d+)" % key, text)[1]) for key in (b"UIDVALIDITY", b"UIDNEXT"))
        assert ledger.validity.setdefault(account, validity) == validity, f"UIDVALIDITY of {account} changed"
        assert uid_next >= ledger.next_uid[account], f"UIDNEXT of {account} went back"
        highest = max(ledger.seen[account], default=0)
        assert uid_next > highest, f"UIDNEXT {uid_next} of {account} is not above UID {highest}, which was told"
        before = dict(ledger.seen[account])
        found = await look(imap, ledger, account, everything=True)
        ledger.next_uid[account] = uid_next
        for uid, name in before.items():
            if (account, uid) in ledger.expunged:
                assert uid not in found, f"UID {uid} of {account} was expunged, and is there again"
            elif (account, uid) not in ledger.maybe_expunged:
                assert uid in found, f"UID {uid} of {account} ({name}) is lost"
        for uid, (name, flagged) in found.items():
            if (account, uid) in ledger.flagged:
                assert flagged, f"the acknowledged flag of UID {uid} of {account} is lost"
            elif flagged:
                assert (account, uid) in ledger.maybe_flagged, f"UID {uid} of {account} has a flag that nobody set"
        for (owner, valid, uid), name in ledger.appended.items():
            if owner == account:
                assert valid == validity
                there = found.get(uid, (None,))[0]
                gone = (account, uid) in ledger.maybe_expunged
                assert there == name or (gone and there is None), f"APPENDUID {uid} said {name}, is {there}"
        names = [name for name, _ in found.values()]
        assert len(names) == len(set(names)), f"{account} has a message twice"
        known = set(names) | {ledger.seen[account][uid] for who, uid in ledger.maybe_expunged if who == account}
        for name, recipients in ledger.acknowledged.items():
            assert account not in recipients or name in known, f"{name} for {account} was acknowledged, and is lost"
        for name in names:
            assert account in ledger.attempted.get(name, ()), f"{account} has {name}, which nobody sent to it"
        # One commit (invariant 3): a message is there for all its recipients or for none.
        for name in known:
            places.setdefault(name, set()).add(account)
        imap.close()
        compare_uidl(server, ledger, account, names)
    for name, accounts in places.items():
        locals_ = {r for r in ledger.attempted[name] if not r.endswith(ELSEWHERE)}
        assert locals_ == accounts, f"{name} for {locals_} arrived only for {accounts}"
    await relayed(ledger, sink, places)


def compare_uidl(server, ledger, account, names):
    pop = poplib.POP3("127.0.0.1", server.pop3, timeout=60)
    pop.user(account), pop.pass_("secret")
    uidls = [line.split()[1] for line in pop.uidl()[1]]
    pop.quit()
    assert len(uidls) == len(names), f"POP3 shows {len(uidls)} messages of {account}, IMAP {len(names)}"
    # Both list in the order of arrival.
    for name, uidl in zip(names, uidls):
        assert ledger.uidl[account].setdefault(name, uidl) == uidl, f"the UIDL of {name} changed"


async def relayed(ledger, sink, places):
    """Every acknowledged recipient elsewhere is reached: nothing lost between our 250 and the next hop."""
    due = [(name, r) for name, recipients in ledger.acknowledged.items() for r in recipients if r.endswith(ELSEWHERE)]
    end = time.monotonic() + 60
    while missing := [d for d in due if d not in sink.taken]:
        assert time.monotonic() < end, f"{len(missing)} of {len(due)} were never relayed, as {missing[0]}"
        await asyncio.sleep(0.1)
    for (name, recipient) in sink.taken:
        assert recipient in ledger.attempted.get(name, ()), f"{name} was relayed to {recipient}, for nobody"
