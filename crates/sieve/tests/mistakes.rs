//! What is said of scripts that can't be used, and that no script, however it is written, keeps a run busy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use mail::{ReversePath, Timestamp, limits};
use proptest::prelude::*;
use sieve::{Action, Octets, Outcome, Script, World, run};

fn why(script: &str) -> String {
    Script::compile(script).map_or_else(|why| why.to_string(), |_| "fine".to_owned())
}

fn outcome(script: &str, message: &str) -> Outcome {
    let script = Script::compile(script).unwrap_or_else(|why| panic!("{why}"));
    let world = World::new(Timestamp::from_secs(1_795_482_310), ReversePath::Null, "a@x.example");
    run(&[("main", &script)], &Octets::new(message.as_bytes(), 0), &world, false).unwrap()
}

fn error(script: &str) -> Option<String> {
    error_in(script, "Subject: aaaaaaaaaa\r\n\r\n")
}

fn error_in(script: &str, message: &str) -> Option<String> {
    let outcome = outcome(script, message);
    if outcome.error.is_some() {
        // Whatever goes wrong, the message is kept, and nothing else is done.
        assert!(matches!(outcome.done.as_slice(), [one] if matches!(one.action, Action::Store { .. })));
    }
    outcome.error.map(|line| line.words)
}

#[test]
fn sentences() {
    for (script, sentence) in [
        ("keep", "line 1, column 5: a semicolon or a block is missing after “keep”; here is the end of the script"),
        ("keep;\n  frob;", "line 2, column 3: there is no command “frob”"),
        ("fileinto \"x\";", "line 1, column 1: “fileinto” needs require \"fileinto\" at the top of the script"),
        ("require \"vnd.x\";", "line 1, column 9: this server does not know the extension \"vnd.x\""),
        ("keep; require \"copy\";", "line 1, column 7: “require” stands at the top, before all other commands"),
        ("redirect :copy \"a@x\";", "line 1, column 10: “:copy” needs require \"copy\" at the top of the script"),
        ("redirect \"a b\";", "line 1, column 1: “redirect”: “a b” is no address: "),
        ("redirect 1;", "line 1, column 10: “redirect”: the address is one string"),
        ("redirect;", "line 1, column 1: “redirect”: the address is missing"),
        ("keep \"x\";", "line 1, column 6: “keep”: one argument too many"),
        ("keep :x;", "line 1, column 6: “keep”: it has no tag “:x”"),
        ("if header \"a:\" \"x\" {}", "line 1, column 11: “header”: \"a:\" can't be the name of a header field"),
        (
            "if header :is :contains \"a\" \"x\" {}",
            "line 1, column 15: “header”: “:contains” contradicts another tag before it",
        ),
        ("if frob {}", "line 1, column 4: there is no test “frob”"),
        ("if true keep;", "line 1, column 9: “true” takes no test"),
        ("if true, false {}", "line 1, column 8: a semicolon or a block is missing after “if”; here is “,”"),
        ("if anyof true {}", "line 1, column 4: “anyof” has a list of tests in parentheses"),
        ("else {}", "line 1, column 1: “else” without an “if” before it"),
        ("if size 1 {}", "line 1, column 4: “size”: “:over” or “:under” is missing"),
        ("\"x", "line 1, column 1: this string has no end (a quotation mark)"),
        ("if header \"a\" text:\nx\n", "line 1, column 15: this text has no end (a line with one dot)"),
        ("/* x", "line 1, column 1: this comment has no end (\"*/\")"),
        ("if true { keep;", "line 1, column 9: this block has no end (“}”)"),
        ("§", "line 1, column 1: '§' has no meaning here"),
        ("require \"variables\"; set \"a.b\" \"\";", "line 1, column 26: there are no variables “a.…” here"),
        ("require \"variables\"; set \"1\" \"\";", "line 1, column 26: “set”: \"1\" can't be the name of a variable"),
        ("if header :comparator \"i;x\" \"a\" \"b\" {}", "line 1, column 23: “header”: there is no comparator \"i;x\""),
    ] {
        let said = why(script);
        assert!(said.starts_with(sentence), "{script}\n  {said}\n  {sentence}");
    }
}

/// `SIEVE_SCRIPT_LEN`, `SIEVE_STRING_LEN`, `SIEVE_NUMBER`, `SIEVE_NESTING`: at the limit and one above.
#[test]
fn scripts_are_bounded() {
    let script = |n: usize| format!("#{}", "x".repeat(n - 1));
    assert_eq!(why(&script(limits::SIEVE_SCRIPT_LEN)), "fine");
    assert!(why(&script(limits::SIEVE_SCRIPT_LEN + 1)).contains("the script is too long"));
    let string = |n: usize| format!("if header \"a\" \"{}\" {{}}", "x".repeat(n));
    assert_eq!(why(&string(limits::SIEVE_STRING_LEN)), "fine");
    assert!(why(&string(limits::SIEVE_STRING_LEN + 1)).contains("this string is too long"));
    let size = |n: u64| format!("if size :over {n} {{}}");
    assert_eq!(why(&size(limits::SIEVE_NUMBER)), "fine");
    assert!(why(&size(limits::SIEVE_NUMBER + 1)).contains("the number is too large"));
    let nested = |n: usize| format!("if {} true {{}}", "not ".repeat(n - 1));
    assert_eq!(why(&nested(limits::SIEVE_NESTING)), "fine");
    assert!(why(&nested(limits::SIEVE_NESTING + 1)).contains("nested too deeply"));
}

/// `SIEVE_STEPS`, `SIEVE_ACTIONS`, `SIEVE_REDIRECTS`, `SIEVE_NOTICES`, `SIEVE_VARIABLES`, `SIEVE_ADDED`, `SIEVE_MARKS`.
#[test]
fn runs_are_bounded() {
    assert_eq!(error(&"keep;".repeat(limits::SIEVE_STEPS)), None);
    assert!(error(&"keep;".repeat(limits::SIEVE_STEPS + 1)).unwrap().contains("steps"));
    let many =
        |n: usize, head: &str, one: &dyn Fn(usize) -> String| head.to_owned() + &(0..n).map(one).collect::<String>();
    let filing = |n| many(n, "require [\"fileinto\", \"mailbox\"];", &|i| format!("fileinto :create \"m{i}\";"));
    assert_eq!(error(&filing(limits::SIEVE_ACTIONS)), None);
    assert!(error(&filing(limits::SIEVE_ACTIONS + 1)).unwrap().contains("things"));
    let sending = |n| many(n, "", &|i| format!("redirect \"a{i}@x.example\";"));
    assert_eq!(error(&sending(limits::SIEVE_REDIRECTS)), None);
    assert!(error(&sending(limits::SIEVE_REDIRECTS + 1)).unwrap().contains("addresses"));
    let notices = |n| many(n, "require \"enotify\";", &|i| format!("notify \"mailto:a{i}@x.example\";"));
    assert_eq!(error(&notices(limits::SIEVE_NOTICES)), None);
    assert!(error(&notices(limits::SIEVE_NOTICES + 1)).unwrap().contains("notices"));
    let setting = |n| many(n, "require \"variables\";", &|i| format!("set \"v{i}\" \"\";"));
    assert_eq!(error(&setting(limits::SIEVE_VARIABLES)), None);
    assert!(error(&setting(limits::SIEVE_VARIABLES + 1)).unwrap().contains("variables"));
    let adding = |n| many(n, "require \"editheader\";", &|i| format!("addheader \"X-{i}\" \"\";"));
    assert_eq!(error(&adding(limits::SIEVE_ADDED)), None);
    assert!(error(&adding(limits::SIEVE_ADDED + 1)).unwrap().contains("fields"));
    let marks = |n| many(n, "require \"duplicate\";", &|_| "if duplicate :uniqueid \"x\" {}".to_owned());
    let asked = |script: &str| {
        let script = Script::compile(script).unwrap();
        let mut world = World::new(Timestamp::from_secs(0), ReversePath::Null, "a@x.example");
        world.seen.insert("\0x".to_owned(), false);
        run(&[("", &script)], &Octets::new(b"\r\n", 0), &world, false).unwrap().error
    };
    assert_eq!(asked(&marks(limits::SIEVE_MARKS)), None);
    assert!(asked(&marks(limits::SIEVE_MARKS + 1)).unwrap().words.contains("duplicate"));
}

/// `SIEVE_VARIABLE_LEN` cuts, `SIEVE_WORK` ends: doubling a string soon meets both.
#[test]
fn strings_do_not_grow_without_end() {
    let doubling = |n: usize, then: &str| {
        format!(
            "require [\"variables\", \"relational\", \"fileinto\", \"mailbox\"]; set \"a\" \"aaaaaaaaaaaaaaaa\"; {} {then}",
            "set \"a\" \"${a}${a}\";".repeat(n)
        )
    };
    let length = "set :length \"n\" \"${a}\"; fileinto :create \"${n}\";";
    let made = |n| outcome(&doubling(n, length), "\r\n").done[0].action.words();
    assert_eq!(made(10), format!("put into {}, which is made for it", limits::SIEVE_VARIABLE_LEN));
    assert_eq!(made(11), made(10));
    let matching = "if string :matches \"${a}\" \"*a*a*a*a*a*a*a*b\" {}".repeat(1_000);
    assert!(error(&doubling(10, &matching)).unwrap().contains("compares more"));
    let long =
        format!("if string \"{}\" \"\" {{}}", "${a}".repeat(limits::SIEVE_STRING_LEN / limits::SIEVE_VARIABLE_LEN + 1));
    assert!(error(&doubling(10, &long)).unwrap().contains("grows over"));
}

/// `SIEVE_WORK`: what looks through a long header again and again, and compares nothing, comes to an end too.
#[test]
fn looking_through_a_header_is_work() {
    let header = format!("X-Long: {}\r\nSubject: x\r\n\r\n", "x".repeat(60_000));
    for test in [
        "exists \"Nothing\"",
        "header :count \"ge\" \"X-Long\" \"1\"",
        "header :index 9 \"X-Long\" \"y\"",
        "address \"X-None\" \"y\"",
        "date \"X-None\" \"year\" \"2000\"",
    ] {
        let many = |n: usize| {
            let tests = format!("if {test} {{}} ").repeat(n);
            error_in(&format!("require [\"relational\", \"index\", \"date\"]; {tests}"), &header)
        };
        assert_eq!(many(50), None, "{test}");
        assert!(many(1_000).unwrap().contains("compares more"), "{test}");
    }
    let names = vec!["\"Subject\""; 1_000].join(", ");
    let many = format!("if exists [{names}] {{}} ").repeat(20);
    assert!(error_in(&many, &header).unwrap().contains("compares more"));
}

/// `SIEVE_INCLUDES`: a script that includes itself.
#[test]
fn scripts_do_not_include_each_other_without_end() {
    let script = std::sync::Arc::new(Script::compile("require \"include\"; include \"me\";").unwrap());
    let mut world = World::new(Timestamp::from_secs(0), ReversePath::Null, "a@x.example");
    world.scripts.insert((sieve::Location::Personal, "me".to_owned()), Some(Ok(script.clone())));
    let outcome = run(&[("", &script)], &Octets::new(b"\r\n", 0), &world, false).unwrap();
    assert!(outcome.error.unwrap().words.contains(&format!("more than {} deep", limits::SIEVE_INCLUDES)));
}

/// `SIEVE_BODY_LEN`: what lies behind is not seen; `SIEVE_EXPLANATION`: no more lines.
#[test]
fn what_is_seen_and_told_is_bounded() {
    let header = "Subject: x\r\n\r\n";
    let body = |n: usize| format!("{header}{}needle", "x".repeat(n));
    let script = "require \"body\"; if body :raw :contains \"needle\" { discard; }";
    let found = |message: &str| outcome(script, message).done[0].action == Action::Discard;
    let room = limits::SIEVE_BODY_LEN - header.len() - "needle".len();
    assert!(found(&body(room)) && !found(&body(room + 1)));
    let script = Script::compile(&"if true {}".repeat(limits::SIEVE_EXPLANATION + 1)).unwrap();
    let world = World::new(Timestamp::from_secs(0), ReversePath::Null, "a@x.example");
    let told = run(&[("", &script)], &Octets::new(b"\r\n", 0), &world, true).unwrap();
    assert_eq!(told.explanation.lines().len(), limits::SIEVE_EXPLANATION);
}

/// `SIEVE_REMEMBERED`: longer times are cut.
#[test]
fn times_are_bounded() {
    let outcome = outcome("require \"vacation\"; vacation :days 91 \"x\";", "\r\n");
    let Action::Vacation(vacation) = &outcome.done[0].action else { panic!() };
    assert_eq!(vacation.seconds, limits::SIEVE_REMEMBERED.as_secs());
}

/// Words of scripts, put together at random.
fn script() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "require [\"fileinto\", \"variables\", \"imap4flags\", \"body\", \"relational\", \"copy\", \"date\", \"editheader\", \"ihave\"];",
        "if",
        "elsif",
        "else",
        "not",
        "allof",
        "anyof",
        "true",
        "header",
        "address",
        "body",
        "string",
        "size",
        "keep",
        ";",
        ";",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":matches",
        ":contains",
        ":over",
        ":count",
        ":raw",
        ":flags",
        "fileinto",
        "redirect",
        "set",
        "addheader",
        "deleteheader",
        "\"subject\"",
        "\"*a*\"",
        "\"${1}\"",
        "\"a@x.example\"",
        "\"gt\"",
        "1",
        "10K",
        "text:\r\nx\r\n.\r\n",
        "# c\n",
        "/* c */",
        "\"",
        "if header :matches \"subject\" \"*a*\" { set \"x\" \"${1}\"; }",
        "if body :contains \"a\" { fileinto \"x\"; }",
        "addflag \"x\";",
        "currentdate",
        "\"date\"",
        "stop;",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    /// Any text compiles or says why not; what compiles runs on any message, and the message is never lost without a word.
    #[test]
    fn everything_ends(script in prop_oneof![script(), ".{0,60}"], message in "([A-Za-z]{1,8}: [ -~]{0,20}\r\n){0,4}\r\n.{0,40}") {
        let Ok(script) = Script::compile(&script) else { return Ok(()) };
        let world = World::new(Timestamp::from_secs(0), ReversePath::Null, "a@x.example");
        let outcome = run(&[("", &script)], &Octets::new(message.as_bytes(), 0), &world, true).unwrap();
        prop_assert!(!outcome.done.is_empty());
    }
}
