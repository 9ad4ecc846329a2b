#!/usr/bin/env python3
"""Records what Dovecot says about each message here: NAME.dovecot holds BODYSTRUCTURE and ENVELOPE, a line each;
NAME.sections which octets BODY[section] has, as length and CRC-32, for every section that it knows.

Needs dovecot-imapd and root or an own uid; run in this folder after adding a message. The test only reads the records.
"""
import glob, os, pwd, re, shutil, subprocess, tempfile, zlib

NUMBERS = [str(a) for a in (1, 2, 3)]
NUMBERS += [f"{a}.{b}" for a in NUMBERS for b in (1, 2, 3)]
SECTIONS = ["", "HEADER", "TEXT"] + [n + end for n in NUMBERS for end in ("", ".MIME", ".HEADER", ".TEXT")]


def sections(conf, env):
    """Each section's octets, asked over IMAP; None where Dovecot says NIL or NO."""
    script = "a select inbox\r\n" + "".join(f"{n} fetch 1 body.peek[{s}]\r\n" for n, s in enumerate(SECTIONS)) + "z logout\r\n"
    out = subprocess.run(["doveadm", "-c", conf, "exec", "imap"], input=script.encode(), env=env, stdout=subprocess.PIPE).stdout
    found, at = {}, 0
    for match in iter(lambda: re.compile(rb"\* 1 FETCH \(BODY\[([^]]*)\] (?:\{(\d+)\}\r\n|(NIL)\)|\"([^\"]*)\"\))", re.I).search(out, at), None):
        name, length, nil, quoted = match.groups()
        at = match.end()
        if length is not None:
            octets = out[at:at + int(length)]
            at += int(length)
        else:
            octets = None if nil else quoted
        found[name.decode().upper()] = octets
    return found

with tempfile.TemporaryDirectory() as home:
    os.chmod(home, 0o755)
    user = pwd.getpwuid(os.getuid())
    uid, gid = (user.pw_uid, user.pw_gid) if user.pw_uid else (65534, 65534)
    conf = home + "/dovecot.conf"
    open(conf, "w").write(f"""base_dir = {home}/run
state_dir = {home}/run
log_path = /dev/stderr
ssl = no
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_location = maildir:{home}/%u
""")
    for path in sorted(glob.glob("*.eml")):
        name = path[:-4]
        box = f"{home}/{name}"
        for part in ("cur", "new", "tmp"):
            os.makedirs(f"{box}/{part}")
        shutil.copy(path, f"{box}/cur/1.a.b:2,")
        subprocess.run(["chown", "-R", f"{uid}:{gid}", box], check=True)
        out = subprocess.run(["doveadm", "-c", conf, "-f", "tab", "fetch", "imap.bodystructure imap.envelope", "all"],
                             env={**os.environ, "USER": name, "HOME": box},
                             stdout=subprocess.PIPE, check=True)
        lines = out.stdout.split(b"\n", 1)[1].rstrip(b"\n").split(b"\t")
        open(name + ".dovecot", "wb").write(b"\n".join(lines) + b"\n")
        found = sections(conf, {**os.environ, "USER": name, "HOME": box})
        with open(name + ".sections", "w") as record:
            for section in SECTIONS:
                octets = found.get(section)
                if octets:  # what is not there is empty for Dovecot
                    record.write(f"{section or '-'} {len(octets)} {zlib.crc32(octets):08x}\n")
