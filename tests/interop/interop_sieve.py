"""Dovecot's Pigeonhole beside our Sieve: the same scripts on the same messages do the same, and what the one can't compile
the other can't either."""

import contextlib, os, pathlib, pwd, re, shutil, subprocess, tempfile

import postrider

REQUIRE = """require ["body", "comparator-i;ascii-numeric", "copy", "date", "editheader", "encoded-character", "envelope",
"fileinto", "imap4flags", "index", "mailbox", "reject", "relational", "subaddress", "vacation", "variables"];
"""

MESSAGES = {
    "list": """Received: from a.example by b.example; Mon, 23 Nov 2026 10:00:00 +0000
Received: from c.example by a.example; Mon, 23 Nov 2026 09:59:00 +0000
Date: Tue, 24 Nov 2026 02:05:10 +0200
From: "Coyote" <Coyote+tnt@Desert.Example>
To: roadrunner+fast@acme.example, "Other" <other@x.example>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= [acme] for you
Message-ID: <one@desert.example>
X-Priority: 5
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

ein gro=C3=9Fer Knall
--b
Content-Type: image/png
Content-Transfer-Encoding: base64

c2VjcmV0
--b--
""",
    "plain": """From: bob@blue.example
To: roadrunner@acme.example
Cc: friends: a@x.example, b@x.example;
Subject: Re: money *now*
 and   more
Date: Fri, 1 Jan 1999 23:59:59 -0500

You get a lot of money.
""",
    "bare": "Subject:\n\n",
}

#: Each is tried on each message; which were true is told by flags. "string" names its comparator: Pigeonhole's default there is
#: i;octet, though RFC 5228 §2.7.3 knows no other default than i;ascii-casemap.
TESTS = r"""
header "subject" "Grüße aus [acme] for you"
header :contains "SUBJECT" "[ACME]"
header :contains :comparator "i;octet" "subject" "[ACME]"
header :matches "subject" "*[*]*"
header :matches "subject" "Re: ?????\ \*now\**"
header :contains ["subject", "x-none"] ""
header :is "subject" ""
header :contains "x-none" ""
header :value "lt" :comparator "i;ascii-numeric" "x-priority" "10"
header :value "lt" "x-priority" "10"
header :count "ge" :comparator "i;ascii-numeric" "received" "2"
header :count "eq" :comparator "i;ascii-numeric" ["to", "cc", "x-none"] "2"
header :index 2 :contains "received" "from c"
header :index 1 :last :contains "received" "from c"
exists ["from", "to", "date"]
exists ["from", "x-priority"]
not exists "x-none"
size :over 200
size :under 1K
address "from" "coyote+tnt@desert.example"
address :domain ["from", "to"] "acme.example"
address :localpart :matches "to" "road*"
address :user "from" "coyote"
address :detail "from" "tnt"
address :detail :contains "to" ""
address :contains "cc" "b@x"
address :count "eq" :comparator "i;ascii-numeric" "to" "2"
envelope "from" "wile@desert.example"
envelope :detail "to" "fast"
envelope :domain :is "to" "acme.example"
body :contains "großer"
body :raw :contains "c2VjcmV0"
body :contains "money"
body :content "image" :contains "secret"
body :content "text/plain" :contains "lot of"
date :originalzone "date" "hour" "02"
date :zone "+0000" "date" "date" "2026-11-24"
date :zone "+0100" "date" "time" "01:05:10"
date :zone "+0000" "date" "weekday" "2"
date :originalzone "date" "zone" "-0500"
date :zone "+0000" "date" "julian" "61368"
date :value "lt" :zone "+0000" "date" "year" "2000"
date :originalzone "date" "iso8601" "2026-11-24T02:05:10+02:00"
date :index 1 :zone "+0000" "received" "minute" "00"
currentdate :value "ge" "year" "2020"
string :comparator "i;ascii-casemap" "${hex: 41}" "a"
string :matches "abc" "?*"
string :count "eq" :comparator "i;ascii-numeric" ["a", ""] "1"
allof (true, not false, anyof (false, true))
hasflag "t0"
""".strip().splitlines()

SCRIPTS = {
    "nothing": "",
    "keep-twice": "keep; keep;",
    "discard": "discard;",
    "discard-and-keep": "discard; keep;",
    "stop": 'fileinto "A"; stop; fileinto "B";',
    "copy": 'fileinto :copy "A"; redirect :copy "a@x.example";',
    "redirect": 'redirect "a@x.example"; redirect "a@x.example";',
    "flags": r'setflag "\\Seen"; addflag ["a b", "A"]; removeflag "B"; fileinto "A"; keep :flags "\\Flagged";',
    "elsif": 'if header :contains "subject" "acme" { fileinto "A"; } elsif body :contains "money" { fileinto "B"; } '
             'else { fileinto "C"; }',
    "variables": 'if header :matches "subject" "*[*]*" { set :upperfirst "l" "${2}"; fileinto :create "L/${l}"; } '
                 'else { set :length "n" "abc"; fileinto :create "N${n}${none}"; }',
    "modifiers": r'set "a" "juMBlEd lETteRS*"; set :lower :upperfirst "b" "${a}"; set :quotewildcard "c" "${a}"; '
                 r'fileinto "${b}"; fileinto "${c}";',
    "shortest": 'if string :matches "a.b.c.d" "*.*.*" { fileinto "${1}-${2}-${3}"; }',
    "editheader": 'addheader "X-New" "x"; deleteheader :index 1 "Subject"; if allof (header "x-new" "x", not exists "subject") '
                  '{ fileinto "Edited"; }',
    "reject": 'reject "no";',
}

#: What neither can use.
WRONG = [
    "keep", "frob;", 'fileinto "x";', 'require "fileinto"; fileinto;', 'require "vnd.none.x";', "if true", "if frob {}",
    'if header "a" {}', 'if header :frob "a" "b" {}', "else {}", 'if true {} keep; elsif true {}', '"x";', "{}",
    'if size "1" {}', 'keep; require "copy";', 'if header :is :contains "a" "b" {}', 'redirect ["a@x.example", "b@x.example"];',
    'if header :comparator "i;none" "a" "b" {}', 'if allof true {}', '/* open', 'keep; }',
]


class Both:
    def __init__(self, top):
        self.top = top
        (top / "mail").mkdir()
        # Dovecot does nothing as root.
        user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        (top / "dovecot.conf").write_text(
            f"mail_uid = {user.pw_uid}\nmail_gid = {user.pw_gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_home = {top}/home\n"
            f"mail_location = maildir:{top}/mail\nplugin {{\n  sieve_extensions = +editheader\n}}\n")
        for name, text in MESSAGES.items():
            (top / f"{name}.eml").write_text(text.replace("\n", "\r\n"))
        if os.getuid() == 0:
            for path in [top, *top.iterdir()]:
                shutil.chown(path, user.pw_uid, user.pw_gid)
        self.count = 0

    def run(self, command):
        return subprocess.run(command, cwd=self.top, capture_output=True, text=True, timeout=60)

    def file(self, script):
        self.count += 1
        path = self.top / f"s{self.count}.sieve"
        path.write_text(script)
        return path.name

    def theirs(self, script, message):
        ran = self.run(["sieve-test", "-c", "dovecot.conf", "-f", "wile@desert.example", "-r", "roadrunner+fast@acme.example",
                        script, message])
        assert ran.returncode == 0, ran.stdout + ran.stderr
        done = set()
        for action in re.split(r"^ \* ", ran.stdout, flags=re.M)[1:]:
            first = action.splitlines()[0]
            flags = re.search(r"add IMAP flags: (.*)", action)
            marks = " ".join(sorted(flags[1].lower().split())) if flags else ""
            if stored := re.match(r"store message in folder: (.*)", first):
                done.add(f"store {stored[1]} {marks}".strip())
            elif sent := re.match(r"redirect message to: <(.*)>", first):
                done.add(f"redirect {sent[1]}")
            else:
                done.add(first.split()[0])
        return done

    def ours(self, script, message):
        ran = self.run([postrider.PROGRAM, "sieve", "test", script, message, "--from", "wile@desert.example", "--to",
                        "roadrunner+fast@acme.example"])
        assert ran.returncode == 0 and "The script fails" not in ran.stdout, ran.stdout + ran.stderr
        done = set()
        for action in re.findall(r"^The message is (.*) \((?:line \d+|as nothing says otherwise)\)\.$", ran.stdout, flags=re.M):
            if stored := re.match(r"put into (.*?)(?:, which is made for it)?(?:, marked (.*))?$", action):
                done.add(f"store {stored[1]} {' '.join(sorted((stored[2] or '').lower().split()))}".strip())
            elif sent := re.match(r"sent on to (.*)", action):
                done.add(f"redirect {sent[1]}")
            else:
                done.add({"discarded": "discard"}.get(action, action.split(":")[0].removesuffix("ed")))
        return done


@contextlib.contextmanager
def scene():
    top = pathlib.Path(tempfile.mkdtemp(prefix="postrider-sieve-"))
    try:
        yield Both(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_each_test_is_true_for_both_or_for_none(both):
    lines = [f'if {test} {{ addflag "t{number}"; }}' for number, test in enumerate(TESTS)]
    script = both.file(REQUIRE + "\n".join(lines) + "\n")
    for name in MESSAGES:
        flags = [set(" ".join(which(script, f"{name}.eml")).split()) for which in (both.ours, both.theirs)]
        differ = [f"{name}: {TESTS[int(flag[1:])]}" for flag in flags[0] ^ flags[1] if flag[0] == "t"]
        assert not differ, "\n".join(differ)


def test_scripts_do_the_same(both):
    for name, text in SCRIPTS.items():
        script = both.file(REQUIRE + text)
        for message in MESSAGES:
            ours, theirs = both.ours(script, f"{message}.eml"), both.theirs(script, f"{message}.eml")
            assert ours == theirs, f"{name} on {message}: we {ours}, they {theirs}"


def test_neither_takes_what_is_wrong(both):
    for text in WRONG:
        script = both.file(text)
        ours = both.run([postrider.PROGRAM, "sieve", "test", script, "bare.eml"])
        theirs = both.run(["sieve-test", "-c", "dovecot.conf", script, "bare.eml"])
        theirs_fails = theirs.returncode != 0 and "failed to compile" in theirs.stderr
        assert ours.returncode == 1 and theirs_fails, f"{text}: we {ours.returncode}, they {theirs.returncode}: {theirs.stderr}"
