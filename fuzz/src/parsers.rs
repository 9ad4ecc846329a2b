//! Parsers and engines that need nothing but bytes.

use mail::{Durable, Uid, UidValidity};
use message::envelope::Envelope;
use message::header::Header;
use message::structure::{Section, Structure};
use wire::dot::{Piece, Stuffing, Unstuffing};
use wire::imap::frame::{Framed, Limits, Reader};
use wire::imap::url::MessageUrl;
use wire::imap::urlauth::{self, is_genuine};
use wire::line::{Line, LineReader};
use wire::pop3::{Answer, Engine, Listing, LoginFailure, Question, Settings, Step};
use wire::smtp::client::ReplyReader;

use crate::alike;

/// The line reader: alike under every cut, no line over its limit.
pub fn line(data: &[u8]) {
    const LIMIT: usize = 64;
    alike(data, |pieces| {
        let mut reader = LineReader::new(LIMIT);
        let mut lines = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, line) = reader.read(rest);
                if let Some(line) = line {
                    if let Line::Text(text) = line {
                        assert!(text.len() <= LIMIT);
                    }
                    lines.push(format!("{line:?}"));
                }
                assert!(taken > 0, "neither took nor gave");
                rest = &rest[taken..];
            }
        }
        lines
    });
}

/// Dot-stuffing: reading is alike under every cut, and reads back what was written.
pub fn dot(data: &[u8]) {
    alike(data, |pieces| unstuff(pieces));
    let mut written = Vec::new();
    let mut stuffing = Stuffing::default();
    for piece in data.chunks(7) {
        stuffing.push(piece, &mut written);
    }
    stuffing.end(&mut written);
    let (read, ended, rest) = unstuff(&[&written]);
    assert!(ended && rest == 0);
    // The end of a body is a line's end: one is added where it lacks.
    // A named quirk of `Stuffing`: a dot after a bare LF is doubled too.
    let has_quirk = data.windows(3).any(|w| w[0] != b'\r' && &w[1..] == b"\n.") || data.starts_with(b"\n.");
    assert!(
        has_quirk || read == data || (read.starts_with(data) && read.len() <= data.len() + 2),
        "{read:?} from {data:?}"
    );
}

fn unstuff(pieces: &[&[u8]]) -> (Vec<u8>, bool, usize) {
    let mut reader = Unstuffing::new();
    let (mut body, mut left) = (Vec::new(), 0);
    let mut ended = false;
    for piece in pieces {
        let mut rest = *piece;
        while !ended {
            match reader.next(&mut rest) {
                Some(Piece::Bytes(bytes)) => body.extend_from_slice(bytes),
                Some(Piece::End) => ended = true,
                None => break,
            }
        }
        left += rest.len();
    }
    (body, ended, left)
}

/// Addresses and paths: what is read can be written and read again.
pub fn address(data: &[u8]) {
    let _ = wire::address::reverse_path(data);
    let _ = wire::address::forward_path(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = wire::address::domain(text);
    if let Ok(address) = wire::address::mailbox(text) {
        let again = wire::address::mailbox(&address.to_string());
        assert_eq!(again.as_ref(), Ok(&address), "{text:?}");
        assert_eq!(address.folded().folded(), address.folded());
    }
}

/// URLs of IMAP: what is read can be written and read again, and no token is good for two of them.
pub fn imap_url(data: &[u8]) {
    let Ok(url) = MessageUrl::read(data) else { return };
    let text = url.to_string();
    assert_eq!(MessageUrl::read(text.as_bytes()).as_ref(), Ok(&url), "{text}");
    let Some(verifier) = url.authorization.and_then(|authorization| authorization.verifier) else { return };
    let rump = MessageUrl::rump(data).expect("a URL with a verifier has what it speaks for");
    let read = MessageUrl::read(rump).expect("what a verifier speaks for is a URL itself");
    assert!(read.authorization.is_some_and(|authorization| authorization.verifier.is_none()));
    assert!(!is_genuine(&[7; 32], rump, &verifier.mechanism, &verifier.token), "a token was guessed");
    let whole = [rump, urlauth::verifier(&[7; 32], rump).as_bytes()].concat();
    let read = MessageUrl::read(&whole).expect("a URL that was made here");
    let verifier = read.authorization.and_then(|authorization| authorization.verifier).expect("it has a verifier");
    assert!(is_genuine(&[7; 32], rump, &verifier.mechanism, &verifier.token));
}

/// The POP3 engine with a maildrop of two messages: alike under every cut, and always ends.
pub fn pop3(data: &[u8]) {
    alike(data, |pieces| {
        let settings = Settings { hostname: "mail.example".into(), starttls: true, plaintext: true, scram: false };
        let mut engine = Engine::new(settings, None);
        let (mut said, mut unread) = (Vec::new(), Vec::new());
        // The greeting comes before anything is sent.
        for piece in [&[] as &[u8]].iter().chain(pieces) {
            unread.extend_from_slice(piece);
            if pop3_runs(&mut engine, &mut unread, &mut said) {
                break;
            }
        }
        said
    });
}

/// Runs the engine until it waits; whether it is over.
fn pop3_runs(engine: &mut Engine, unread: &mut Vec<u8>, said: &mut Vec<u8>) -> bool {
    const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\n";
    loop {
        match engine.step() {
            Step::Send(bytes) => said.extend(bytes),
            Step::Ask(Question::LogIn { user, .. }) if user.starts_with('a') => {
                let messages = [1, 2].into_iter().filter_map(Uid::new).map(|uid| (uid, MESSAGE.len() as u32)).collect();
                engine.answer(Answer::Opened(Listing { uid_validity: UidValidity(7), messages }));
            }
            Step::Ask(Question::Read { range, .. }) => {
                let end = MESSAGE.len().min(range.end as usize);
                engine.answer(Answer::Piece(&MESSAGE[range.start as usize..end]));
            }
            Step::Ask(Question::Update(uids)) => {
                engine.answer(Answer::Updated((!uids.is_empty()).then(|| Durable::attest(uids))));
            }
            Step::Ask(_) => engine.answer(Answer::Refused(LoginFailure::Credentials)),
            Step::StartTls | Step::Close => return true,
            Step::Read => {
                let taken = engine.input(unread);
                unread.drain(..taken);
                if taken == 0 {
                    return false;
                }
            }
        }
    }
}

/// Replies that an SMTP client reads: alike under every cut.
pub fn smtp_client(data: &[u8]) {
    for plain in [false, true] {
        alike(data, |pieces| {
            let mut reader = ReplyReader::default();
            let mut replies = Vec::new();
            for piece in pieces {
                reader.push(piece);
                loop {
                    match reader.next(plain) {
                        Ok(Some(reply)) => replies.push(format!("{reply:?}")),
                        Ok(None) => break,
                        Err(_) => {
                            replies.push("not a reply".to_owned());
                            return replies;
                        }
                    }
                }
            }
            replies
        });
    }
}

/// IMAP: where commands end is alike under every cut, and each can be parsed.
pub fn imap(data: &[u8]) {
    for limits in [Limits::UNAUTHENTICATED, Limits::AUTHENTICATED] {
        alike(data, |pieces| imap_frames(pieces, &limits));
    }
    let _ = wire::imap::command::command(data, wire::imap::Names::Modified);
    if let Some(name) = wire::imap::mutf7::decode(data) {
        assert_eq!(wire::imap::mutf7::decode(wire::imap::mutf7::encode(&name).as_bytes()).as_deref(), Some(&*name));
    }
}

/// What was framed; pieces of messages joined, since where they are cut is the network's affair.
fn imap_frames(pieces: &[&[u8]], limits: &Limits) -> (Vec<String>, Vec<u8>) {
    let mut reader = Reader::default();
    let (mut input, mut frames, mut message) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let framed = reader.next(&input, limits);
            let taken = match &framed {
                Framed::More => break,
                Framed::Continue => {
                    frames.push("continue".to_owned());
                    continue;
                }
                Framed::Piece(n) => {
                    message.extend_from_slice(&input[..*n]);
                    *n
                }
                Framed::Drop(n) => *n,
                Framed::Command(n) => {
                    frames
                        .push(format!("{:?}", wire::imap::command::command(&input[..*n], wire::imap::Names::Modified)));
                    *n
                }
                Framed::Message(n, literal) => {
                    frames.push(format!(
                        "{:?} {literal:?}",
                        wire::imap::command::command(&input[..*n], wire::imap::Names::Modified)
                    ));
                    *n
                }
                Framed::End(n) => {
                    frames.push("end".to_owned());
                    *n
                }
                Framed::Refused(n, refusal) => {
                    frames.push(format!("{refusal:?}"));
                    if refusal.fatal {
                        return (frames, message);
                    }
                    *n
                }
            };
            input.drain(..taken);
        }
    }
    (frames, message)
}

/// Messages: header, structure, envelope, dates and text of any bytes; all ranges are within them.
pub fn message(data: &[u8]) {
    let header = Header::of(data);
    let fields: usize = header.fields().count();
    assert!(fields <= data.len() + 1);
    let _ = (header.message_id(), header.date(), header.subject(), header.from(), header.received_count());
    let _ = Envelope::of(&header);
    for field in header.fields() {
        let _ = message::envelope::addresses(field.raw_value());
        let _ = message::date::parse(field.raw_value());
        let _ = message::text::decode_words(field.raw_value());
    }
    let structure = Structure::of(data);
    let length = data.len() as u64;
    for (path, part) in structure.leaves() {
        let path: Vec<u32> = path.split('.').filter_map(|n| n.parse().ok()).collect();
        for section in [Section::Whole, Section::Mime, Section::Header, Section::Text] {
            let Some(range) = structure.section(&path, section) else { continue };
            assert!(range.start <= range.end && range.end <= length, "{range:?} of {length}");
        }
        if let Some(range) = structure.section(&path, Section::Whole) {
            let _ = message::text::readable(part, &data[range.start as usize..range.end as usize]);
        }
        let _ = part.file_name();
    }
}
