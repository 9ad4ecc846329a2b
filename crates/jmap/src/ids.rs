//! Ids on the wire: a letter for what it is, and its number (RFC 8620 §1.2). Those of mailboxes, messages and conversations
//! are IMAP's MAILBOXID, EMAILID and THREADID (RFC 8474).

use mail::{AccountId, BodyId, IdentityId, MailboxId, ModSeq, PushSubscriptionId, ScriptId, SubmissionId, ThreadId};

fn number(letter: char, text: &str) -> Option<u64> {
    let digits = text.strip_prefix(letter)?;
    // One thing has one id: no sign, no zero in front.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten()
}

/// An account's id.
pub fn account(id: AccountId) -> String {
    format!("A{}", id.0)
}

pub(crate) fn parse_account(text: &str) -> Option<AccountId> {
    number('A', text).map(AccountId)
}

pub(crate) fn mailbox(id: MailboxId) -> String {
    format!("F{}", id.0)
}

pub(crate) fn parse_mailbox(text: &str) -> Option<MailboxId> {
    number('F', text).map(MailboxId)
}

pub(crate) fn email(id: BodyId) -> String {
    format!("M{}", id.0)
}

pub(crate) fn parse_email(text: &str) -> Option<BodyId> {
    number('M', text).map(BodyId)
}

pub(crate) fn thread(id: ThreadId) -> String {
    format!("T{}", id.0)
}

pub(crate) fn parse_thread(text: &str) -> Option<ThreadId> {
    number('T', text).map(ThreadId)
}

pub(crate) fn identity(id: IdentityId) -> String {
    format!("I{}", id.0)
}

pub(crate) fn parse_identity(text: &str) -> Option<IdentityId> {
    number('I', text).map(IdentityId)
}

pub(crate) fn submission(id: SubmissionId) -> String {
    format!("E{}", id.0)
}

pub(crate) fn parse_submission(text: &str) -> Option<SubmissionId> {
    number('E', text).map(SubmissionId)
}

pub(crate) fn script(id: ScriptId) -> String {
    format!("R{}", id.0)
}

pub(crate) fn parse_script(text: &str) -> Option<ScriptId> {
    number('R', text).map(ScriptId)
}

pub(crate) fn push_subscription(id: PushSubscriptionId) -> String {
    format!("P{}", id.0)
}

pub(crate) fn parse_push_subscription(text: &str) -> Option<PushSubscriptionId> {
    number('P', text).map(PushSubscriptionId)
}

pub(crate) fn state(modseq: ModSeq) -> String {
    modseq.0.to_string()
}

pub(crate) fn parse_state(text: &str) -> Option<ModSeq> {
    number('S', &format!("S{text}")).map(ModSeq)
}

/// RFC 8620 §1.2: 1 to 255 octets of the URL- and filename-safe base64 alphabet.
pub(crate) fn is_id(text: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=255).contains(&text.len()) && text.bytes().all(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        assert_eq!(parse_mailbox(&mailbox(MailboxId(7))), Some(MailboxId(7)));
        assert_eq!(parse_email(&email(BodyId(u64::MAX))), Some(BodyId(u64::MAX)));
        assert_eq!(parse_state(&state(ModSeq(12))), Some(ModSeq(12)));
        for bad in ["", "F", "F-1", "F+1", "F01", "M1", "F1 ", "F18446744073709551616", "7"] {
            assert_eq!(parse_mailbox(bad), None, "{bad}");
        }
        assert!(is_id("a-Z_9") && !is_id("") && !is_id("a b") && !is_id(&"x".repeat(256)));
    }
}
