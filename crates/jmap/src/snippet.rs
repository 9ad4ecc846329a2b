//! SearchSnippet/get (RFC 8621 §5): where a message has what was looked for.

use std::ops::Range;

use mail::limits;
use message::header::Header;
use message::structure::Kind;
use message::text::{fold, readable};
use reading::body::{Message, looked_at};
use serde_json::{Value, json};
use store::StoreResult;

use crate::args::Args;
use crate::email::filter::{self, Needle};
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::request::Context;

/// RFC 8621 §5: octets of a preview at most.
const PREVIEW: usize = 255;

/// Characters that stand before what was found.
const BEFORE: usize = 40;

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let mut needles = Vec::new();
    filter::read(args.value("filter"), &mut needles)?;
    let wanted = Args::required("emailIds", args.ids("emailIds")?)?;
    args.finish()?;
    if wanted.len() > limits::JMAP_OBJECTS_IN_GET {
        return Err(MethodError::new("requestTooLarge"));
    }
    let account = context.open(id).await?;
    let (in_subject, in_body) = texts(&needles);
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in wanted {
        let email = context.real_id(&id).and_then(ids::parse_email).and_then(|id| account.index.email(id));
        let place = email.and_then(|email| email.place());
        let body = match place {
            Some((mailbox, uid)) => context.server.store.bodies(mailbox, &[uid]).await?.into_iter().next(),
            None => None,
        };
        let Some((_, body)) = body else {
            not_found.push(Value::from(id));
            continue;
        };
        let mut message = Message::new(&context.server.structures, body);
        let subject = subject(&mut message, &in_subject).await?;
        let preview = preview(&mut message, &in_body).await?;
        list.push(json!({ "emailId": id, "subject": subject, "preview": preview }));
        tokio::task::yield_now().await;
    }
    let not_found = if not_found.is_empty() { Value::Null } else { not_found.into() };
    Ok(json!({ "accountId": ids::account(account.id), "list": list, "notFound": not_found }))
}

/// What is looked for in subjects, and in bodies.
fn texts(needles: &[Needle]) -> (Vec<&str>, Vec<&str>) {
    let of =
        |wanted: fn(&Needle) -> bool| needles.iter().filter(|needle| wanted(needle)).filter_map(Needle::text).collect();
    let in_subject = |needle: &Needle| match needle {
        Needle::Text(_) => true,
        Needle::Header(name, _) => name.eq_ignore_ascii_case("subject"),
        _ => false,
    };
    (of(in_subject), of(|needle| matches!(needle, Needle::Text(_) | Needle::Body(_))))
}

async fn subject(message: &mut Message<'_>, sought: &[&str]) -> StoreResult<Option<String>> {
    let range = looked_at(message.header().await?);
    let octets = message.read_whole(range).await?;
    let subject = Header::of(&octets).subject().unwrap_or_default();
    let chars: Vec<char> = subject.chars().collect();
    let found = found(&chars, sought);
    Ok((!found.is_empty()).then(|| marked(&chars, 0..chars.len(), &found)))
}

async fn preview(message: &mut Message<'_>, sought: &[&str]) -> StoreResult<Option<String>> {
    if sought.is_empty() {
        return Ok(None);
    }
    let structure = message.structure().await?;
    for part in structure.parts().iter().filter(|part| part.kind == Kind::Leaf && part.is_type("text")) {
        let end = part.body.end.min(part.body.start.saturating_add(limits::IMAP_SEARCH_TEXT as u64));
        let octets = message.read_whole(part.body.start..end).await?;
        let text = readable(part, &octets);
        let words: Vec<&str> = text.split_whitespace().collect();
        let chars: Vec<char> = words.join(" ").chars().collect();
        let found = found(&chars, sought);
        if let Some(first) = found.first() {
            return Ok(Some(around(&chars, first, &found)));
        }
    }
    Ok(None)
}

/// What stands around the first find, as much as may be told.
fn around(chars: &[char], first: &Range<usize>, found: &[Range<usize>]) -> String {
    let start = first.start.saturating_sub(BEFORE);
    // From the beginning of a word on.
    let start = match chars[start..first.start].iter().position(|c| *c == ' ') {
        Some(at) if start > 0 => start + at + 1,
        _ => start,
    };
    let mut end = chars.len().min(start + PREVIEW);
    loop {
        let text = marked(chars, start..end, found);
        if text.len() <= PREVIEW || end <= start {
            return text;
        }
        end -= 1 + (text.len() - PREVIEW) / 8;
        end = end.max(start);
    }
}

/// Where one of the texts stands, in order; what touches is one.
fn found(chars: &[char], sought: &[&str]) -> Vec<Range<usize>> {
    // The folded text, and which character each of its octets comes from.
    let (mut folded, mut origin) = (String::new(), Vec::new());
    for (at, c) in chars.iter().enumerate() {
        let one = fold(c.encode_utf8(&mut [0; 4]));
        origin.extend(std::iter::repeat_n(at, one.len()));
        folded.push_str(&one);
    }
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for text in sought.iter().filter(|text| !text.is_empty()) {
        for (at, text) in folded.match_indices(text) {
            let (Some(first), Some(last)) = (origin.get(at), origin.get(at + text.len() - 1)) else { continue };
            ranges.push(*first..*last + 1);
        }
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// RFC 8621 §5: as HTML, with what was found (in order, and none touching another) marked.
fn marked(chars: &[char], range: Range<usize>, found: &[Range<usize>]) -> String {
    let (mut out, mut at) = (String::new(), range.start);
    let first = found.partition_point(|one| one.end <= range.start);
    for one in found[first..].iter().take_while(|one| one.start < range.end) {
        let (from, to) = (one.start.max(range.start), one.end.min(range.end));
        escape(&chars[at..from], &mut out);
        out.push_str("<mark>");
        escape(&chars[from..to], &mut out);
        out.push_str("</mark>");
        at = to;
    }
    escape(&chars[at..range.end], &mut out);
    out
}

fn escape(chars: &[char], out: &mut String) {
    for c in chars {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(*c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_found_is_marked() {
        let mark = |text: &str, sought: &[&str]| {
            let chars: Vec<char> = text.chars().collect();
            marked(&chars, 0..chars.len(), &found(&chars, sought))
        };
        assert_eq!(mark("Grüße & <alle>", &["grusse", "all"]), "<mark>Grüße</mark> &amp; &lt;<mark>all</mark>e&gt;");
        assert_eq!(mark("abcabc", &["ab", "bc"]), "<mark>abcabc</mark>");
        assert_eq!(mark("x", &["y", ""]), "x");
    }

    proptest! {
        #[test]
        fn previews_are_short(text in "[a-zß<&é ]{0,400}", sought in "[a-zs]{1,3}") {
            let chars: Vec<char> = text.chars().collect();
            let found = found(&chars, &[&sought]);
            if let Some(first) = found.first() {
                let text = around(&chars, first, &found);
                prop_assert!(text.len() <= PREVIEW, "{}", text);
                prop_assert_eq!(text.matches("<mark>").count(), text.matches("</mark>").count());
            }
        }
    }
}
