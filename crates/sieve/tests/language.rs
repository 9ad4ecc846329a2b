//! What scripts mean: each extension with what its RFC says of it. One message, one envelope, many scripts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use mail::{Address, Domain, ReversePath, Timestamp};
use sieve::{Action, Location, Mailbox, Octets, Outcome, Question, Script, World, run};

const MESSAGE: &str = "Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\r\n\
Received: from c by a; Mon, 23 Nov 2026 09:59:00 +0000\r\n\
Date: Tue, 24 Nov 2026 02:05:10 +0200\r\n\
From: \"Coyote\" <Coyote+tnt@Desert.Example>\r\n\
To: roadrunner+fast@acme.example, \"Other\" <other@x.example>\r\n\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= [acme] for you\r\n\
Message-ID: <one@desert.example>\r\n\
X-Priority: 5\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\
\r\n\
--b\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\
\r\n\
ein gro=C3=9Fer Knall\r\n\
--b\r\n\
Content-Type: image/png\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
c2VjcmV0\r\n\
--b--\r\n";

const ALL: &str = "require [\"body\",\"copy\",\"date\",\"duplicate\",\"editheader\",\"encoded-character\",\"enotify\",\
    \"envelope\",\"environment\",\"fileinto\",\"imap4flags\",\"include\",\"index\",\"mailbox\",\"reject\",\"relational\",\
    \"spamtest\",\"spamtestplus\",\"special-use\",\"subaddress\",\"vacation\",\"variables\",\"virustest\",\
    \"comparator-i;ascii-numeric\",\"comparator-i;unicode-casemap\",\"ihave\"];\n";

fn world() -> World {
    let sender = Address::new("wile", Domain::from_ascii("desert.example").unwrap()).unwrap();
    let mailbox = |name: &str, special_use: Option<&str>| Mailbox {
        name: name.into(),
        special_use: special_use.map(str::to_owned),
    };
    let mut world =
        World::new(Timestamp::from_secs(1_795_482_310), ReversePath::Address(sender), "roadrunner+fast@acme.example");
    world.mailboxes =
        vec![mailbox("INBOX", None), mailbox("Work", None), mailbox("Spam", Some("\\Junk")), mailbox("Work/Sub", None)];
    world.environment.insert("domain".into(), "acme.example".into());
    world.environment.insert("name".into(), "Postrider".into());
    world
}

fn outcome_in(script: &str, world: &World) -> Outcome {
    let script = Script::compile(script).unwrap_or_else(|why| panic!("{why}\n{script}"));
    run(&[("main", &script)], &Octets::new(MESSAGE.as_bytes(), 0), world, true).unwrap()
}

/// What is done, in words.
fn done(script: &str) -> String {
    words(&outcome_in(&format!("{ALL}{script}"), &world()))
}

fn words(outcome: &Outcome) -> String {
    let mut words: Vec<String> = outcome.done.iter().map(|done| done.action.words()).collect();
    if let Some(error) = &outcome.error {
        words.insert(0, format!("error in line {}: {}", error.line, error.words));
    }
    words.join("; ")
}

/// Whether a test is true.
fn is(test: &str) -> bool {
    match done(&format!("if {test} {{ discard; }}")).as_str() {
        "discarded" => true,
        "put into INBOX" => false,
        other => panic!("{test}: {other}"),
    }
}

#[test]
fn the_base() {
    assert_eq!(done(""), "put into INBOX");
    assert_eq!(done("keep;"), "put into INBOX");
    assert_eq!(done("discard;"), "discarded");
    assert_eq!(done("discard; keep;"), "discarded; put into INBOX");
    assert_eq!(done("fileinto \"Work\"; fileinto \"Work\"; stop; discard;"), "put into Work");
    assert_eq!(done("redirect \"A <a@x.example>\"; redirect \"A@x.example\";"), "sent on to a@x.example");
    assert_eq!(done("if false { discard; } elsif true { fileinto \"Work\"; } else { keep; }"), "put into Work");
    assert_eq!(done("if false { discard; } elsif false { discard; } else { fileinto \"Work\"; }"), "put into Work");
    assert!(is("allof(true, not false, anyof(false, true))") && !is("anyof(false, not true)"));
}

#[test]
fn headers_are_decoded_and_compared() {
    assert!(is("header \"subject\" \"Grüße aus [acme] for you\"") && is("header :contains \"SUBJECT\" \"[ACME]\""));
    assert!(!is("header :contains :comparator \"i;octet\" \"subject\" \"[ACME]\""));
    assert!(is("header :contains :comparator \"i;unicode-casemap\" \"subject\" \"GRÜß\""));
    assert!(!is("header :contains \"subject\" \"GRÜß\""));
    assert!(is("header :matches \"subject\" \"*[acme]*\"") && is("exists [\"from\", \"x-priority\"]"));
    assert!(!is("exists [\"from\", \"x-none\"]") && !is("header :contains \"x-none\" \"\""));
    assert!(is("header :contains \"x-priority\" \"\""));
    assert!(is("size :over 100") && is("size :under 1K") && !is("size :over 1K"));
}

#[test]
fn addresses_have_parts() {
    assert!(is("address \"from\" \"coyote+tnt@desert.example\"") && is("address :domain \"from\" \"desert.example\""));
    assert!(is("address :localpart :comparator \"i;octet\" \"from\" \"Coyote+tnt\""));
    // RFC 5233 §4
    assert!(is("address :user \"from\" \"coyote\"") && is("address :detail \"from\" \"tnt\""));
    assert!(is("address :user \"to\" \"other\"") && !is("address :detail :contains \"to\" \"other\""));
    assert!(is("envelope :detail \"to\" \"fast\"") && is("envelope :all \"from\" \"wile@desert.example\""));
    assert!(!is("envelope :detail :matches \"from\" \"*\""));
    let mut nobody = world();
    nobody.sender = ReversePath::Null;
    // RFC 5228 §5.4
    let script = "require \"envelope\"; if envelope :localpart \"from\" \"\" { discard; }";
    assert_eq!(words(&outcome_in(script, &nobody)), "discarded");
}

#[test]
fn relations() {
    assert!(is("header :value \"lt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"10\""));
    assert!(!is("header :value \"lt\" \"x-priority\" \"10\""));
    assert!(is("address :count \"eq\" :comparator \"i;ascii-numeric\" \"to\" \"2\""));
    assert!(is("header :count \"ge\" \"received\" [\"9\", \"2\"]") && !is("header :count \"gt\" \"received\" \"2\""));
    assert!(is("header :count \"eq\" \"x-none\" \"0\""));
}

#[test]
fn bodies() {
    assert!(
        is("body :contains \"großer\"") && is("body :text :contains \"knall\"") && !is("body :contains \"secret\"")
    );
    assert!(is("body :raw :contains \"c2VjcmV0\"") && !is("body :raw :contains \"großer\""));
    assert!(is("body :content \"image\" :is \"secret\"") && is("body :content \"image/png\" :contains \"ecr\""));
    assert!(is("body :content \"\" :contains \"secret\"") && !is("body :content \"text\" :contains \"secret\""));
    assert!(is("body :content \"text\" :count \"eq\" \"1\""));
}

#[test]
fn variables() {
    // RFC 5229 §4: the modifiers' own examples.
    let value = |set: &str, variable: &str| {
        let script = format!("{set} fileinto :create \"${{{variable}}}\";");
        done(&script).strip_prefix("put into ").unwrap().replace(", which is made for it", "")
    };
    let text = "set \"a\" \"juMBlEd lETteRS\";";
    assert_eq!(value(&format!("{text} set :length \"b\" \"${{a}}\";"), "b"), "15");
    assert_eq!(value(&format!("{text} set :lower \"b\" \"${{a}}\";"), "b"), "jumbled letters");
    assert_eq!(value(&format!("{text} set :upperfirst \"b\" \"${{a}}\";"), "b"), "JuMBlEd lETteRS");
    assert_eq!(value(&format!("{text} set :upperfirst :lower \"b\" \"${{a}}\";"), "b"), "Jumbled letters");
    assert_eq!(value("set :quotewildcard \"b\" \"Rock*\";", "b"), "Rock\\*");
    assert_eq!(value("set :encodeurl \"b\" \"a b\";", "b"), "a%20b");
    // §3.2: what the wildcards stand for.
    let script = "if header :matches \"subject\" \"*[*]*\" { fileinto :create \"lists/${2}\"; }";
    assert_eq!(done(script), "put into lists/acme, which is made for it");
    // A test that is false leaves them.
    let script = "if header :matches \"x-priority\" \"*\" {} if header :matches \"subject\" \"?\" {} \
                  if string \"${1}\" \"5\" { discard; }";
    assert_eq!(done(script), "discarded");
    assert!(is("string :count \"eq\" [\"\", \"a\", \"${unknown}\"] \"1\""));
    assert!(is("string :is \"${hex:41}\" \"a\""));
}

#[test]
fn flags() {
    let script = "setflag \"\\\\Seen\"; addflag [\"a b\", \"A\"]; removeflag \"B\"; fileinto \"Work\";";
    assert_eq!(done(script), "put into Work, marked \\Seen a");
    assert_eq!(done("addflag \"x\"; keep :flags [\"\\\\Flagged\"];"), "put into INBOX, marked \\Flagged");
    // The implicit keep has them too (RFC 5232 §4).
    assert_eq!(done("addflag \"x\";"), "put into INBOX, marked x");
    assert_eq!(done("addflag \"x y\"; if hasflag \"Y\" { discard; }"), "discarded");
    assert_eq!(done("addflag \"v\" \"x y\"; if hasflag :count \"ge\" \"v\" \"2\" { discard; }"), "discarded");
    assert_eq!(done("addflag \"v\" \"x\"; if hasflag :contains \"v\" \"y\" { discard; }"), "put into INBOX");
}

#[test]
fn mailboxes() {
    assert_eq!(done("fileinto \"Gone\";"), "put into INBOX, for there is no mailbox Gone");
    assert_eq!(done("fileinto :create \"Gone\";"), "put into Gone, which is made for it");
    assert_eq!(done("fileinto :create \"inbox\";"), "put into INBOX");
    assert_eq!(done("fileinto :copy \"Work\";"), "put into Work; put into INBOX");
    assert_eq!(done("fileinto :specialuse \"\\\\Junk\" \"Work\";"), "put into Spam");
    assert_eq!(done("fileinto :specialuse \"\\\\Trash\" \"Work\";"), "put into Work");
    assert!(is("mailboxexists [\"Work\", \"inbox\"]") && !is("mailboxexists [\"Work\", \"Gone\"]"));
    assert!(is("specialuse_exists \"\\\\junk\"") && !is("specialuse_exists \"Work\" \"\\\\junk\""));
}

#[test]
fn dates() {
    assert!(is("date :originalzone \"date\" \"hour\" \"02\"") && is("date \"date\" \"date\" \"2026-11-24\""));
    assert!(is("date :zone \"+0100\" \"date\" \"time\" \"01:05:10\"") && is("date \"date\" \"weekday\" \"2\""));
    assert!(is("date :originalzone \"date\" \"zone\" \"+0200\"") && is("date \"date\" \"julian\" \"61368\""));
    assert!(is("date :originalzone \"date\" \"iso8601\" \"2026-11-24T02:05:10+02:00\""));
    assert!(
        is("date :index 1 \"received\" \"minute\" \"00\"") && is("date :last :index 1 \"received\" \"minute\" \"59\"")
    );
    assert!(!is("date :index 3 :contains \"received\" \"year\" \"\""));
    assert!(is("currentdate :value \"ge\" \"date\" \"2026-11-24\"") && is("currentdate \"year\" \"2026\""));
    assert!(
        is("header :index 2 :contains \"received\" \"from c\"")
            && !is("header :index 1 :contains \"received\" \"from c\"")
    );
}

#[test]
fn rejections_go_with_nothing_else() {
    assert_eq!(done("reject \"no\";"), "rejected: no");
    assert!(done("keep; reject \"no\";").starts_with("error in line 2: the message can't be rejected"));
    assert!(done("reject \"no\"; fileinto \"Work\";").starts_with("error in line 2: the message is rejected already"));
    assert!(done("reject \"no\";\nvacation \"away\";").starts_with("error in line 3"));
}

#[test]
fn vacation_and_notices() {
    let script = "vacation :days 0 :subject \"s\" :addresses [\"a@x.example\"] :handle \"h\" :from \"me@acme.example\" text:\r\n\
                  I am\r\n..away\r\n.\r\n;";
    let outcome = outcome_in(&format!("{ALL}{script}"), &world());
    let Action::Vacation(vacation) = &outcome.done[0].action else { panic!() };
    assert_eq!((vacation.seconds, vacation.reason.as_str()), (86_400, "I am\r\n.away\r\n"));
    assert_eq!(vacation.from.as_ref().unwrap().to_string(), "me@acme.example");
    // RFC 5230 §4: it does not take the place of the implicit keep.
    assert_eq!(outcome.done.len(), 2);
    assert!(done("vacation \"a\"; vacation \"b\";").contains("once only"));
    assert_eq!(
        done("notify :importance \"1\" :message \"m\" \"mailto:boss@x.example?subject=s\";"),
        "boss@x.example gets a note of it; put into INBOX"
    );
    assert!(is("valid_notify_method \"mailto:a@x.example\"") && !is("valid_notify_method \"tel:1\""));
    assert!(is("notify_method_capability \"mailto:a@x.example\" \"online\" \"maybe\""));
}

#[test]
fn judgements() {
    assert!(is("spamtest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\"") && is("virustest :value \"eq\" \"0\""));
    let mut junk = world();
    junk.spam = Some(100);
    junk.virus = Some(5);
    let script = |test: &str| {
        let script = format!("{ALL} if {test} {{ discard; }}");
        words(&outcome_in(&script, &junk)) == "discarded"
    };
    assert!(script("spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"10\"") && script("virustest \"5\""));
    assert!(script("spamtest :percent \"100\"") && script("spamtest :count \"eq\" \"1\""));
    assert!(is("spamtest :count \"eq\" \"0\""));
}

#[test]
fn headers_are_edited() {
    let script = "addheader \"X-New\" \"über\"; deleteheader :index 1 :contains \"X-Priority\" \"5\"; \
                  deleteheader \"Received\"; if header \"x-new\" \"über\" { fileinto \"Work\"; } addheader :last \"X-End\" \"1\"; keep;";
    let outcome = outcome_in(&format!("{ALL}{script}"), &world());
    assert_eq!(outcome.done.iter().map(|done| done.version).collect::<Vec<_>>(), [1, 2]);
    let headers: Vec<String> = outcome.headers.iter().map(|h| String::from_utf8(h.clone()).unwrap()).collect();
    assert!(
        headers[0].starts_with("X-New: =?utf-8?") && headers[0].contains("\r\nReceived: from c by a"),
        "{}",
        headers[0]
    );
    assert!(!headers[0].contains("X-Priority") && !headers[0].contains("X-End"));
    assert!(headers[1].ends_with("X-End: 1\r\n\r\n"));
    // A value can't begin a field of its own.
    let outcome = outcome_in(&format!("{ALL} addheader \"X\" \"a\r\nBcc: b\";"), &world());
    assert!(String::from_utf8_lossy(&outcome.headers[0]).starts_with("X: a  Bcc: b\r\n"));
}

#[test]
fn duplicates_are_asked_for() {
    let script = Script::compile(&format!("{ALL} if duplicate {{ discard; }}")).unwrap();
    let message = Octets::new(MESSAGE.as_bytes(), 0);
    let mut world = world();
    let Err(Question::Seen(mark)) = run(&[("", &script)], &message, &world, false) else { panic!() };
    world.seen.insert(mark.clone(), false);
    let first = run(&[("", &script)], &message, &world, false).unwrap();
    assert_eq!((words(&first).as_str(), first.seen[0].seconds), ("put into INBOX", 7 * 86_400));
    world.seen.insert(mark, true);
    let second = run(&[("", &script)], &message, &world, false).unwrap();
    assert_eq!((words(&second).as_str(), second.seen.len()), ("discarded", 0));
}

#[test]
fn scripts_include_others() {
    let main = format!(
        "{ALL} global \"x\"; set \"x\" \"outer\"; set \"y\" \"mine\"; include \"inner\"; \
                        if allof(string \"${{x}}\" \"inner\", string \"${{y}}\" \"mine\") {{ discard; }}"
    );
    let script = Script::compile(&main).unwrap();
    let message = Octets::new(MESSAGE.as_bytes(), 0);
    let mut world = world();
    let place = (Location::Personal, "inner".to_owned());
    assert_eq!(run(&[("", &script)], &message, &world, false).unwrap_err(), Question::Script(place.0, place.1.clone()));
    let inner = format!(
        "{ALL} global \"x\"; if string \"${{x}}\" \"outer\" {{ set \"global.x\" \"inner\"; set \"y\" \"n\"; return; }} keep;"
    );
    world.scripts.insert(place.clone(), Some(Ok(Arc::new(Script::compile(&inner).unwrap()))));
    assert_eq!(words(&run(&[("", &script)], &message, &world, false).unwrap()), "discarded");
    world.scripts.insert(place, None);
    assert!(words(&run(&[("", &script)], &message, &world, false).unwrap()).contains("there is no personal script"));
}

#[test]
fn ihave_keeps_from_what_is_unknown() {
    assert_eq!(done("if ihave \"vnd.none\" { frobnicate :hard; } else { discard; }"), "discarded");
    assert!(done("if true { frobnicate :hard; }").contains("there is no command “frobnicate”"));
    assert_eq!(
        words(&outcome_in("require \"ihave\"; if ihave \"copy\" { redirect :copy \"a@x.example\"; }", &world())),
        "sent on to a@x.example; put into INBOX"
    );
    assert_eq!(done("error \"as you wish\";"), "error in line 2: as you wish; put into INBOX");
}

#[test]
fn scripts_in_a_row() {
    let message = Octets::new(MESSAGE.as_bytes(), 0);
    let compile = |text: &str| Script::compile(&format!("{ALL}{text}")).unwrap();
    let (mark, file, keep) =
        (compile("addflag \"x\"; keep;"), compile("fileinto \"Work\";"), compile("addflag \"y\";"));
    let of = |scripts: &[(&str, &Script)]| words(&run(scripts, &message, &world(), false).unwrap());
    // What the one keeps, the next one decides about.
    assert_eq!(of(&[("a", &mark), ("b", &file)]), "put into Work, marked x");
    assert_eq!(of(&[("a", &file), ("b", &mark)]), "put into Work");
    assert_eq!(of(&[("a", &mark), ("b", &keep)]), "put into INBOX, marked x y");
}

#[test]
fn explanations_say_why() {
    let outcome =
        outcome_in("if allof(header :contains \"subject\" \"acme\",\n not size :over 1M) {\n  discard;\n}", &world());
    let lines: Vec<String> = outcome
        .explanation
        .lines()
        .iter()
        .map(|line| {
            format!(
                "{}{}{} {}",
                "  ".repeat(line.depth),
                line.line,
                line.truth.map_or("", |t| if t { "+" } else { "-" }),
                line.words
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "1+ all of these",
            "  1+ subject “Grüße aus [acme] for you” contains “acme”",
            "  2+ not",
            "    2- the message has 626 octets",
            "  3 discarded"
        ]
    );
}
