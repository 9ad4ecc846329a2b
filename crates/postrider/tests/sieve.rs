//! `postrider sieve test`: what a script would do, in words.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

const SCRIPT: &str = "require [\"fileinto\", \"imap4flags\", \"include\"];
include \"common\";
if header :contains \"List-Id\" \"acme\" {
  fileinto \"Lists\";
} elsif address :domain \"From\" \"shop.example\" {
  addflag \"\\\\Seen\";
  fileinto \"Shopping\";
}
";
const MESSAGE: &str = "From: Shop <news@shop.example>\r\nSubject: \x1b[2Jsale\r\n\r\nBuy.\r\n";

/// What it prints, and whether it went well.
fn tried(script: &str) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.sieve"), script).unwrap();
    std::fs::write(folder.path().join("common.sieve"), "if header \"subject\" \"x\" { discard; }").unwrap();
    std::fs::write(folder.path().join("mail.eml"), MESSAGE).unwrap();
    let arguments = ["sieve", "test", "rules.sieve", "mail.eml", "--from", "bounce@shop.example"];
    let program = env!("CARGO_BIN_EXE_postrider");
    let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[test]
fn explains_rule_by_rule() {
    let (text, good) = tried(SCRIPT);
    assert!(good, "{text}");
    for line in [
        "   2  include \"common\";",
        "      → goes on in the personal script “common”",
        "   1  (common)",
        "   3  if header :contains \"List-Id\" \"acme\" {",
        "      no: there is nothing to compare",
        "      yes: From “shop.example” is “shop.example”",
        "   7    fileinto \"Shopping\";",
        "        → put into Shopping, marked \\Seen",
        "The message is put into Shopping, marked \\Seen (line 7).",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\nis not in\n{text}");
    }
    // What a stranger wrote into the message does nothing to the terminal.
    assert!(!text.contains('\x1b'));
}

#[test]
fn says_where_a_script_is_wrong() {
    let (text, good) = tried("keep;\nfileinto \"x\";");
    assert!(!good);
    assert_eq!(
        text,
        "postrider: rules.sieve, line 2, column 1: “fileinto” needs require \"fileinto\" at the top of the script\n"
    );
    let (text, good) = tried("require \"include\"; include \"../secret\";");
    assert!(good && text.contains("there is no personal script “../secret” to include"), "{text}");
}

/// Both outputs of a command on the system in `folder`, and whether it went well.
fn run(folder: &std::path::Path, arguments: &[&str]) -> (String, bool) {
    let program = env!("CARGO_BIN_EXE_postrider");
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.success())
}

#[test]
fn an_accounts_scripts_are_kept() {
    use std::io::Write as _;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = run(folder, &["init", ".", "--hostname", "mail.red.example", "--domain", "red.example"]);
    assert!(made.1, "{}", made.0);
    let mut adding = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["account", "add", "ann@red.example", "--password-stdin"])
        .current_dir(folder)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    adding.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    assert!(adding.wait().unwrap().success());
    std::fs::write(folder.join("good.sieve"), "discard;").unwrap();
    std::fs::write(folder.join("bad.sieve"), "discard").unwrap();
    let sieve = |words: &[&str]| run(folder, &[&["sieve", words[0], "ann@red.example"], &words[1..]].concat());
    let refused = sieve(&["put", "rules", "bad.sieve"]);
    assert!(!refused.1 && refused.0.contains("the script is not kept: rules, line 1"), "{}", refused.0);
    assert_eq!(sieve(&["list"]), (String::new(), true));
    assert_eq!(sieve(&["put", "rules", "good.sieve", "--activate"]), (String::new(), true));
    assert_eq!(sieve(&["put", "other", "good.sieve"]), (String::new(), true));
    let list = sieve(&["list"]).0;
    assert!(list.contains("rules  8       active") && list.contains("other  8"), "{list}");
    assert_eq!(sieve(&["show", "rules"]), ("discard;\n".to_owned(), true));
    let refused = sieve(&["remove", "rules"]);
    assert!(!refused.1 && refused.0.contains("it is the active script: deactivate it first"), "{}", refused.0);
    assert_eq!(sieve(&["activate", "other"]), (String::new(), true));
    assert_eq!(sieve(&["remove", "rules"]), (String::new(), true));
    assert_eq!(sieve(&["deactivate"]), (String::new(), true));
    let (json, good) = sieve(&["list", "--json"]);
    assert!(good && json.contains("\"active\": false"), "{json}");
    let refused = sieve(&["activate", "rules"]);
    assert!(!refused.1 && refused.0.contains("the script “rules”"), "{}", refused.0);
}
