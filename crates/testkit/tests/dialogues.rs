//! Every refusal of SMTP, POP3, IMAP and HTTP that stands in the sources stands in a dialogue of `tests/transcripts`, in its words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use std::fs;

/// The words of refusals that no dialogue can have, each with the reason and the test that has it instead.
const NOT_IN_A_DIALOGUE: &[(&str, &str)] = &[
    // Only a pump that does not keep to the engine's rules hears it.
    ("… Internal error", "crates/wire/src/smtp/server/tests.rs"),
    ("Internal error", "crates/wire/src/smtp/server/tests.rs"),
    // It takes a MiB.
    ("The header is too long, or has no end", "crates/server/tests/smtp.rs"),
    // Loopback, where dialogues run, is exempt from what strangers meet.
    ("… sends to too many recipients, come again in …", "crates/server/tests/strangers.rs"),
    ("Too many connections from …, come again in …", "crates/server/tests/strangers.rs"),
    ("Too many messages from …, come again in …", "crates/server/tests/strangers.rs"),
    ("Too many recipients from …, come again in …", "crates/server/tests/strangers.rs"),
    ("You spoke before you were greeted", "crates/server/tests/strangers.rs"),
    ("<…>: takes no mail from elsewhere", "crates/mta/src/policy/tests.rs"),
    ("<…>: this sender is not accepted here", "crates/mta/src/policy/tests.rs"),
    ("<…>: you are not known here yet, come again in …", "crates/mta/src/policy/tests.rs"),
    (
        "… has no name in DNS that leads back to it; give it one, or write to postmaster",
        "crates/mta/src/policy/tests.rs",
    ),
    ("… is listed by …; ask there, or write to postmaster", "crates/mta/src/policy/tests.rs"),
    // What is handed in on this machine comes over no conversation.
    ("The message has bare CRs or LFs", "crates/postrider/tests/queue_commands.rs"),
    // They need time to pass, or the server to stop.
    ("… Timeout, closing connection", "crates/server/tests/slow_clients.rs"),
    ("… Service shutting down", "crates/server/tests/smtp.rs"),
    ("… Connection closed", "crates/wire/src/smtp/server/tests.rs"),
    ("… …", "tests/transcripts/smtp/limits.txt"),
    ("[SYS/TEMP] Shutting down, try again later", "crates/server/tests/pop3.rs"),
    ("the server stops, try again", "crates/server/tests/push.rs"),
    // Twenty thousand who listen are no dialogue; the test is of those of one account.
    ("too many listen already", "crates/server/tests/push.rs"),
    // Filters of others, which a dialogue does not have.
    ("Refused by a filter of this system", "crates/server/tests/milter.rs"),
    ("A filter of this system asks you to try again later", "crates/server/tests/milter.rs"),
    ("A filter of this system takes no mail from you now", "crates/mta/src/milter/conversation.rs"),
    ("A filter of this system does not answer, try again later", "crates/server/tests/milter.rs"),
    // Only from a network that needs no log-in, which a dialogue is not in.
    ("Too many messages from your network in this hour, try again later", "crates/server/tests/trusted.rs"),
    // DNS says it.
    (
        "… wants mail refused that neither SPF nor DKIM shows to be its own (DMARC)",
        "crates/mta/src/accept/authenticate/tests.rs",
    ),
    // A line of a mebibyte is no reading matter.
    ("The message has a line that is too long", "crates/wire/src/smtp/server/tests.rs"),
    // Only `mailbox`, which reads a whole text, says so; no command calls it.
    ("something follows the address", "crates/wire/src/address.rs"),
    // SCRAM's last response comes after a proof, which depends on the server's chance; the other two are a client's.
    ("the last response is empty", "crates/wire/src/sasl/tests.rs"),
    ("the server asks for an impossible number of iterations", "crates/wire/src/sasl/tests.rs"),
    ("the server's nonce does not begin with ours", "crates/wire/src/sasl/tests.rs"),
    // IMAP: lines of many thousand octets.
    ("The SEARCH has too many keys", "crates/imap/tests/hostile.rs"),
    ("The SEARCH looks for too many strings", "crates/imap/tests/hostile.rs"),
    ("The command is nested too deeply", "crates/imap/tests/hostile.rs"),
    ("The patterns are too long", "crates/imap/tests/hostile.rs"),
    ("The set has too many items", "crates/imap/tests/hostile.rs"),
    ("The URL is too long", "crates/imap/tests/limits.rs"),
    ("The keyword is too long", "crates/imap/tests/limits.rs"),
    ("The line is too long", "crates/imap/tests/limits.rs"),
    ("The list has too many items", "crates/imap/tests/limits.rs"),
    ("The section has too many parts", "crates/imap/tests/limits.rs"),
    ("There are too many capabilities", "crates/imap/tests/limits.rs"),
    ("There are too many flags", "crates/imap/tests/limits.rs"),
    ("There are too many languages", "crates/imap/tests/limits.rs"),
    ("There are too many messages", "crates/imap/tests/limits.rs"),
    ("There are too many parts", "crates/imap/tests/limits.rs"),
    ("There are too many URLs", "crates/imap/tests/limits.rs"),
    ("There are too many mechanisms", "crates/imap/tests/limits.rs"),
    ("NO […] Too many messages in one command", "crates/imap/tests/limits.rs"),
    ("NO […] That is too long", "crates/imap/tests/limits.rs"),
    ("NO […] Those are too many mailboxes", "crates/imap/src/notify/mod.rs"),
    ("There are too many groups of events", "crates/wire/src/imap/notify.rs"),
    ("NO […] There are too many already", "crates/imap/tests/limits.rs"),
    ("NO […] The result is too long to be kept", "crates/imap/tests/limits.rs"),
    ("You were silent for too long", "crates/server/tests/autologout.rs"),
    ("The server is stopping", "crates/server/tests/autologout.rs"),
    // What the store, the hash or the disk says.
    ("NO […] The account is gone or disabled", "crates/imap/src/refusal.rs"),
    ("NO […] The mail store has stopped, try again later", "crates/imap/src/refusal.rs"),
    ("NO […] The server is busy, try again", "crates/imap/src/refusal.rs"),
    ("NO […] A message is damaged on the server's disk", "crates/imap/src/refusal.rs"),
    ("NO […] The server failed, the administrator will see why", "crates/imap/src/refusal.rs"),
    ("NO […] The mailbox was deleted", "crates/imap/src/refusal.rs"),
    ("NO […] The server has too little free disk space", "crates/imap/src/refusal.rs"),
    ("NO […] Over the limit …", "crates/imap/src/refusal.rs"),
    ("NO […] Another session uses it", "crates/imap/src/refusal.rs"),
    // Only a fault of the program makes it say so.
    ("NO […] The server failed", "crates/imap/src/io.rs"),
    ("A message was not expected here", "crates/imap/src/session.rs"),
    ("The command is broken", "crates/imap/src/append.rs"),
    ("That is not for this state", "crates/imap/src/session.rs"),
    // HTTP: time has to pass, a header or a count is long, the store fails, the client is elsewhere, there is no listener.
    ("the body came too slowly", "crates/server/src/http/request.rs"),
    ("the header is too long", "crates/server/tests/http_limits.rs"),
    ("too many log-ins failed, try again later", "crates/server/src/http/problem.rs"),
    ("the server can't do this now, try again later", "crates/server/src/http/problem.rs"),
    ("not from your address", "crates/server/tests/http_limits.rs"),
    ("this server has no domain", "crates/server/src/http/autoconfig.rs"),
    ("there is nothing that a mail client could use", "crates/server/tests/http_limits.rs"),
    // Only a fault of the program makes it say so.
    ("the code is missing", "crates/server/src/http/second_factor.rs"),
    // Two lines in the source, told line by line in small-commands.txt.
    (
        "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS AUTH See RFC 5321",
        "tests/transcripts/smtp/small-commands.txt",
    ),
];

/// The strings behind `before` in the sources whose path begins with one of these, `…` for what is filled in.
fn words(paths: &[&str], before: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in house::sources() {
        if !paths.iter().any(|path| source.path.starts_with(path)) || source.path.ends_with("/client.rs") {
            continue;
        }
        let until = source.tests_from();
        let code: String =
            source.lines().filter(|(number, _)| *number < until).map(|(_, line)| format!("{line}\n")).collect();
        for before in before {
            for (at, _) in code.match_indices(before) {
                let behind = code[at + before.len()..].trim_start().trim_start_matches('&');
                let behind = behind.trim_start_matches("format!(").trim_start();
                if let Some(string) = behind.strip_prefix('"') {
                    found.push(house::words(string));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// IMAP's `NO [CODE] words`, from `Reply::no(Code::…, "words")`; another code may be put in its place later.
fn replies_with_codes(paths: &[&str]) -> Vec<String> {
    let codes = fs::read_to_string(house::root().join("crates/wire/src/imap/reply.rs")).unwrap();
    let names = codes.match_indices("Self::").map(|(at, _)| &codes[at + 6..]);
    let names = names.filter_map(|rest| rest.split_once(" => \"")).map(|(name, _)| name);
    let names = names.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()));
    let found = names.flat_map(|name| words(paths, &[&format!("Reply::no(Code::{name}, ")]));
    found.map(|words| format!("NO […] {words}")).collect()
}

/// What servers say in the dialogues of a protocol.
fn said(protocol: &str) -> Vec<String> {
    let folder = house::root().join("tests/transcripts").join(protocol);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let text: String = texts.map(|path| fs::read_to_string(path).unwrap()).collect();
    text.lines().filter(|line| line.starts_with('S')).map(str::to_owned).collect()
}

/// Whether a line has the words, with anything for each `…`.
fn has(line: &str, words: &str) -> bool {
    let mut rest = line;
    words.split('…').filter(|part| !part.is_empty()).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn every_refusal_is_said(protocol: &str, refusals: &[String]) {
    assert!(refusals.len() > 20, "the sources are read wrongly: {refusals:?}");
    let lines = said(protocol);
    let is_known = |words: &String| NOT_IN_A_DIALOGUE.iter().any(|(known, _)| known == words);
    let is_said = |words: &String| lines.iter().any(|line| has(line, words));
    let missing: Vec<String> = refusals.iter().filter(|words| !is_known(words) && !is_said(words)).cloned().collect();
    house::none(&format!("every refusal of {protocol} stands in tests/transcripts/{protocol}"), &missing);
}

#[test]
fn of_smtp() {
    let mut refusals = words(
        &["crates/wire/src/smtp/server", "crates/mta/src/accept", "crates/mta/src/policy", "crates/server/src/smtp"],
        &[
            "Syntax(", ", 0), ", ", 1), ", ", 2), ", ", 3), ", ", 4), ", ", 5), ", ", 6), ", ", 7), ", ", 8), ",
            ", 11), ", ", 14), ", ", 26), ",
        ],
    );
    refusals.extend(words(&["crates/wire/src/address.rs", "crates/mail/src/address.rs"], &["InvalidAddress("]));
    refusals.extend(words(&["crates/wire/src/sasl/"], &["Malformed("]));
    every_refusal_is_said("smtp", &refusals);
}

#[test]
fn of_pop3() {
    let refusals = words(&["crates/wire/src/pop3/"], &["self.fail(", "self.err(", "Arguments(", "Refused("]);
    every_refusal_is_said("pop3", &refusals);
}

#[test]
fn of_imap() {
    let paths = ["crates/imap/src", "crates/wire/src/imap"];
    // Replies with a code, whose name stands before the words; those without; BYE.
    let coded = replies_with_codes(&paths);
    assert!(coded.len() > 30, "{coded:?}");
    let mut refusals = words(
        &paths,
        &["Bad(", "Reply::bad(", "why: ", "BadMailboxName(", "\"BYE\", None, ", "\"BYE\", Some(\"UNAVAILABLE\"), "],
    );
    refusals.extend(words(&["crates/store-local/src/truth", "crates/store/src"], &["BadMailboxName("]));
    refusals.extend(coded);
    every_refusal_is_said("imap", &refusals);
}

#[test]
fn of_http() {
    let statuses = [
        "NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "REQUEST_TIMEOUT",
        "PAYLOAD_TOO_LARGE",
        "UNSUPPORTED_MEDIA_TYPE",
        "UNPROCESSABLE_ENTITY",
        "REQUEST_HEADER_FIELDS_TOO_LARGE",
        "SERVICE_UNAVAILABLE",
    ];
    let mut before: Vec<String> = statuses.iter().map(|status| format!("StatusCode::{status}, ")).collect();
    before.extend(
        ["Problem::bad(", "Problem::forbidden(", "Problem::log_in(request, ", "unfit(", "let detail = "]
            .map(Into::into),
    );
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    every_refusal_is_said("http", &words(&["crates/server/src/http/"], &before));
}

#[test]
fn what_no_dialogue_has_is_tested_elsewhere() {
    let missing: Vec<String> = NOT_IN_A_DIALOGUE
        .iter()
        .filter(|(_, test)| !house::root().join(test).exists())
        .map(|(words, _)| (*words).to_owned())
        .collect();
    house::none("the tests named here exist", &missing);
}
