//! How a message begins, for a list of messages (RFC 8970, RFC 8621 §4.1.4).

use mail::limits;
use message::structure::{Kind, Part, Structure};
use message::text::readable;
use store::StoreResult;

use crate::body::Message;

/// RFC 8970 §3.2: made of the first text that is shown; nothing where there is none.
pub async fn preview(message: &mut Message<'_>) -> StoreResult<String> {
    let structure = message.structure().await?;
    let Some(part) = first_text(&structure) else { return Ok(String::new()) };
    let end = part.body.end.min(part.body.start.saturating_add(limits::IMAP_PREVIEW_LOOKED_AT));
    let body = message.read_whole(part.body.start..end).await?;
    Ok(shortened(&readable(part, &body)))
}

/// Plain text before HTML.
fn first_text(structure: &Structure) -> Option<&Part> {
    let texts = || structure.parts().iter().filter(|part| part.kind == Kind::Leaf && !part.is_attachment());
    texts().find(|part| part.is("text", "plain")).or_else(|| texts().find(|part| part.is("text", "html")))
}

/// RFC 8970 §3.1: at most 256 characters, and 200 are enough; white space is one space.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let space = usize::from(!short.is_empty());
        let room = limits::IMAP_PREVIEW_CHARS.saturating_sub(count + space);
        if room == 0 {
            break;
        }
        if space > 0 {
            short.push(' ');
        }
        short.extend(word.chars().take(room));
        count += space + word.chars().count().min(room);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shortened() {
        assert_eq!(shortened("  Dear\r\n\r\nBob,\tall  well. "), "Dear Bob, all well.");
        assert_eq!(shortened(&"ä".repeat(500)).chars().count(), limits::IMAP_PREVIEW_CHARS);
        assert_eq!(shortened(&"ab ".repeat(500)).chars().count(), limits::IMAP_PREVIEW_CHARS);
        assert_eq!(shortened(""), "");
    }
}
