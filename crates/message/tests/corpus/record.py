#!/usr/bin/env python3
"""Records what Dovecot says about each message here: NAME.dovecot holds BODYSTRUCTURE and ENVELOPE, a line each.

Needs dovecot-imapd and root or an own uid; run in this folder after adding a message. The test only reads the records.
"""
import glob, os, pwd, shutil, subprocess, tempfile
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
