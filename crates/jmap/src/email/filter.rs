//! Conditions on Emails (RFC 8621 §4.4.1): what the index answers, what digests rule out, and what must be read.

use mail::{MailboxId, Timestamp, limits};
use message::date::parse_rfc3339;
use message::header::Header;
use message::text::fold;
use reading::body::{Message, looked_at};
use reading::marks::has_field;
use reading::texts;
use serde_json::Value;
use store::StoreResult;

use super::body::Bodies;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::index::{Email, Index, Keyword};

/// RFC 8621 §4.4.1: fields that `text` looks into, beside the body.
const LOOKED_INTO: [&str; 5] = ["From", "To", "Cc", "Bcc", "Subject"];

/// A FilterCondition: all that is given must hold.
#[derive(Default)]
pub(crate) struct Condition {
    pub(crate) in_mailbox: Option<MailboxId>,
    in_other_than: Option<Vec<MailboxId>>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    min_size: Option<u64>,
    max_size: Option<u64>,
    /// Which emails of the conversation, and the keyword.
    in_thread: Vec<(Quantity, String)>,
    has_keyword: Option<String>,
    not_keyword: Option<String>,
    /// Numbers of what must be read for; all must be found.
    needles: Vec<usize>,
    has_attachment: Option<(bool, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    All,
    Some,
    None,
}

/// Something that is looked for in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needle {
    /// In a field of this name: the text, folded; an empty one: that there is such a field.
    Header(String, String),
    Body(String),
    Text(String),
    Attachment,
}

impl Needle {
    /// The text that must stand somewhere, where one must.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Header(_, text) | Self::Body(text) | Self::Text(text) => {
                Some(text).filter(|text| !text.is_empty()).map(String::as_str)
            }
            Self::Attachment => None,
        }
    }

    /// The answer out of the header that a digest keeps, where that has it.
    pub(crate) fn by_digest(&self, header: &Header<'_>) -> Option<bool> {
        match self {
            Self::Header(name, text) if has_field(name.as_bytes()) => Some(header_has(header, name, text)),
            // Where it stands in the header it need not be looked for in the body.
            Self::Text(text) if LOOKED_INTO.iter().any(|name| header_has(header, name, text)) => Some(true),
            _ => None,
        }
    }

    /// The answer out of the message.
    pub(crate) async fn by_message(&self, message: &mut Message<'_>) -> StoreResult<bool> {
        if let Self::Attachment = self {
            let structure = message.structure().await?;
            return Ok(Bodies::of(&structure).has_attachment(&structure));
        }
        if let Self::Body(text) = self {
            return body_has(message, text).await;
        }
        let range = looked_at(message.header().await?);
        let octets = message.read_whole(range).await?;
        let header = Header::of(&octets);
        Ok(match self {
            Self::Header(name, text) => header_has(&header, name, text),
            Self::Text(text) => {
                LOOKED_INTO.iter().any(|name| header_has(&header, name, text)) || body_has(message, text).await?
            }
            Self::Body(_) | Self::Attachment => false,
        })
    }
}

fn header_has(header: &Header<'_>, name: &str, text: &str) -> bool {
    texts::of_header(header, Some(name), |value| value.contains(text))
}

async fn body_has(message: &mut Message<'_>, text: &str) -> StoreResult<bool> {
    Ok(text.is_empty() || texts::of_body(message, text.len(), |other| other.contains(text)).await?)
}

/// RFC 8621 §4.4.1: phrases in quotes as they are, other words one by one; all must be found.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut token = String::new();
        if (c == '"' || c == '\'') && is_closed(chars.clone(), c) {
            while let Some(next) = chars.next().filter(|next| *next != c) {
                let escaped = next == '\\' && chars.peek().is_some_and(|next| "'\"\\".contains(*next));
                token.extend(if escaped { chars.next() } else { Some(next) });
            }
        } else if !c.is_whitespace() {
            token.push(c);
            while let Some(next) = chars.next_if(|next| !next.is_whitespace()) {
                token.push(next);
            }
        }
        let token = fold(&token);
        if !token.is_empty() {
            tokens.push(token);
        }
    }
    tokens
}

/// Whether a quote is closed.
fn is_closed(mut rest: impl Iterator<Item = char>, quote: char) -> bool {
    while let Some(c) = rest.next() {
        match c {
            '\\' => drop(rest.next()),
            c if c == quote => return true,
            _ => {}
        }
    }
    false
}

fn date(members: &mut Args, name: &str) -> Answer<Option<Timestamp>> {
    let Some(text) = members.string(name)? else { return Ok(None) };
    // RFC 8620 §1.4: UTCDate ends in Z.
    let date = parse_rfc3339(&text).filter(|_| text.ends_with('Z'));
    date.map(Some).ok_or_else(|| MethodError::arguments(format!("{name} must be a date in UTC")))
}

impl Condition {
    /// Reads a condition; what it looks for in messages is put to `needles`.
    pub(crate) fn read(mut members: Args, needles: &mut Vec<Needle>) -> Answer<Self> {
        // A mailbox that is not there has no messages.
        let mailbox = |id: &str| ids::parse_mailbox(id).unwrap_or(MailboxId(0));
        let mut condition = Self {
            in_mailbox: members.id("inMailbox")?.map(|id| mailbox(&id)),
            in_other_than: members.ids("inMailboxOtherThan")?.map(|ids| ids.iter().map(|id| mailbox(id)).collect()),
            before: date(&mut members, "before")?,
            after: date(&mut members, "after")?,
            min_size: members.unsigned("minSize")?,
            max_size: members.unsigned("maxSize")?,
            has_keyword: members.string("hasKeyword")?,
            not_keyword: members.string("notKeyword")?,
            ..Self::default()
        };
        let quantities = [
            ("allInThreadHaveKeyword", Quantity::All),
            ("someInThreadHaveKeyword", Quantity::Some),
            ("noneInThreadHaveKeyword", Quantity::None),
        ];
        for (name, quantity) in quantities {
            condition.in_thread.extend(members.string(name)?.map(|keyword| (quantity, keyword)));
        }
        let mut put = |needle: Needle| {
            let known = needles.iter().position(|other| *other == needle);
            known.unwrap_or_else(|| {
                needles.push(needle);
                needles.len() - 1
            })
        };
        if let Some(wanted) = members.boolean("hasAttachment")? {
            condition.has_attachment = Some((wanted, put(Needle::Attachment)));
        }
        for name in ["from", "to", "cc", "bcc", "subject"] {
            for token in members.string(name)?.iter().flat_map(|text| tokens(text)) {
                condition.needles.push(put(Needle::Header(name.to_owned(), token)));
            }
        }
        for token in members.string("text")?.iter().flat_map(|text| tokens(text)) {
            condition.needles.push(put(Needle::Text(token)));
        }
        for token in members.string("body")?.iter().flat_map(|text| tokens(text)) {
            condition.needles.push(put(Needle::Body(token)));
        }
        match members.strings("header")?.as_deref() {
            None => {}
            Some([name]) => condition.needles.push(put(Needle::Header(name.clone(), String::new()))),
            Some([name, text]) => condition.needles.push(put(Needle::Header(name.clone(), fold(text)))),
            Some(_) => return Err(MethodError::arguments("header has one or two strings")),
        }
        members.finish()?;
        Ok(condition)
    }

    /// Numbers of the needles that it needs.
    pub(crate) fn needs(&self) -> impl Iterator<Item = usize> {
        self.needles.iter().copied().chain(self.has_attachment.map(|(_, needle)| needle))
    }

    /// The answer, where the index and what is known of the needles have it.
    pub(crate) fn holds(&self, ready: &Ready<'_>, email: &Email<'_>, verdicts: &[Option<bool>]) -> Option<bool> {
        if !self.by_index(ready, email) {
            return Some(false);
        }
        let verdict = |needle: usize| verdicts.get(needle).copied().flatten();
        let attachment = self.has_attachment.map(|(wanted, needle)| verdict(needle).map(|is| is == wanted));
        let mut all = Some(true);
        for one in self.needles.iter().map(|needle| verdict(*needle)).chain(attachment) {
            match one {
                Some(false) => return Some(false),
                Some(true) => {}
                None => all = None,
            }
        }
        all
    }

    fn by_index(&self, ready: &Ready<'_>, email: &Email<'_>) -> bool {
        let index = ready.index;
        let place = |mailbox: MailboxId| index.place_of(mailbox);
        if let Some(mailbox) = self.in_mailbox
            && place(mailbox).is_none_or(|place| !email.is_in(place))
        {
            return false;
        }
        if let Some(others) = &self.in_other_than
            && email.mailboxes().all(|(_, mailbox)| others.contains(&mailbox))
        {
            return false;
        }
        // As the client is told: in whole seconds.
        let received = email.received_at().secs();
        if self.before.is_some_and(|before| received >= before.secs())
            || self.after.is_some_and(|after| received < after.secs())
        {
            return false;
        }
        let size = u64::from(email.size());
        if self.min_size.is_some_and(|least| size < least) || self.max_size.is_some_and(|most| size >= most) {
            return false;
        }
        let has = |name: &str| ready.keyword(name).is_some_and(|keyword| keyword.is_of(email));
        if self.has_keyword.as_deref().is_some_and(|name| !has(name)) || self.not_keyword.as_deref().is_some_and(has) {
            return false;
        }
        self.in_thread.iter().all(|(quantity, name)| ready.in_thread(email, *quantity, name))
    }
}

/// What is made ready for an account before its Emails are looked at.
pub(crate) struct Ready<'i> {
    index: &'i Index,
    keywords: Vec<(String, Keyword)>,
}

impl<'i> Ready<'i> {
    pub(crate) fn new(index: &'i Index, names: impl IntoIterator<Item = String>) -> Self {
        let keywords = names.into_iter().map(|name| (name.clone(), Keyword::new(index, &name))).collect();
        Self { index, keywords }
    }

    fn keyword(&self, name: &str) -> Option<&Keyword> {
        self.keywords.iter().find(|(known, _)| known == name).map(|(_, keyword)| keyword)
    }

    pub(crate) fn has_keyword(&self, email: &Email<'_>, name: &str) -> bool {
        self.keyword(name).is_some_and(|keyword| keyword.is_of(email))
    }

    /// Whether so many of an Email's conversation have a keyword.
    pub(crate) fn in_thread(&self, email: &Email<'_>, quantity: Quantity, name: &str) -> bool {
        let thread = self.index.thread(email.thread());
        let mut have = thread.iter().map(|email| self.has_keyword(email, name));
        match quantity {
            Quantity::All => have.all(|has| has),
            Quantity::Some => have.any(|has| has),
            Quantity::None => !have.any(|has| has),
        }
    }
}

impl Condition {
    /// The keywords that it asks for.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = &String> {
        self.has_keyword.iter().chain(&self.not_keyword).chain(self.in_thread.iter().map(|(_, name)| name))
    }
}

/// For arguments that are a filter of Emails.
pub(crate) fn read(value: Option<Value>, needles: &mut Vec<Needle>) -> Answer<crate::query::Filter<Condition>> {
    let filter = crate::query::Filter::read(value, &mut |members| Condition::read(members, needles))?;
    if needles.len() > limits::JMAP_FILTER_CONDITIONS {
        return Err(MethodError::with("unsupportedFilter", "the filter looks for too many words"));
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_apart() {
        assert_eq!(tokens("Hello  wörld"), ["hello", "world"]);
        assert_eq!(tokens("a \"b c\" 'd \\' e' it's"), ["a", "b c", "d ' e", "it's"]);
        assert_eq!(tokens("\"open and"), ["\"open", "and"]);
        assert_eq!(tokens("  \"\" "), [] as [&str; 0]);
        assert_eq!(tokens("\"a\\\\b\""), ["a\\b"]);
    }
}
