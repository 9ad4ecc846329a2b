//! Scripts of accounts, on messages of strangers.

use mail::{ReversePath, Timestamp};
use sieve::{Octets, Question, Script, World, run};

/// What of the input is the script, and what the message.
const BETWEEN: &[u8] = b"\n=====\n";

/// A script, and after a line of five `=` a message: it compiles or it is said where it does not; what compiles ends, does the
/// same twice, and never loses the message without a word.
pub fn sieve(data: &[u8]) {
    let cut = memchr::memmem::find(data, BETWEEN);
    let (script, message) =
        cut.map_or((data, &b"Subject: a\r\n\r\na"[..]), |at| (&data[..at], &data[at + BETWEEN.len()..]));
    let Ok(text) = std::str::from_utf8(script) else { return };
    let script = match Script::compile(text) {
        Ok(script) => script,
        Err(why) => {
            let lines = u32::try_from(text.split('\n').count()).unwrap_or(u32::MAX);
            assert!((1..=lines).contains(&why.at.line) && !why.message.is_empty(), "{why}");
            return;
        }
    };
    let mut world = World::new(Timestamp::from_secs(1_795_482_310), ReversePath::Null, "a+b@x.example").on("x.example");
    let message = Octets::new(message, 0);
    let outcome = loop {
        match run(&[("main", &script)], &message, &world, true) {
            Ok(outcome) => break outcome,
            Err(Question::Seen(mark)) => assert_eq!(world.seen.insert(mark, false), None, "asked twice"),
            Err(Question::Script(location, name)) => {
                assert!(world.scripts.insert((location, name), None).is_none(), "asked twice");
            }
        }
    };
    assert!(!outcome.done.is_empty());
    assert!(outcome.done.iter().all(|done| done.version <= outcome.headers.len()));
    assert_eq!(run(&[("main", &script)], &message, &world, false).map(|again| again.done), Ok(outcome.done));
}
