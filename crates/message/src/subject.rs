//! What a subject is about, without what replying and forwarding put around it (RFC 5256 §2.1 "base subject").

/// A base subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The base, in the case that was written.
    pub text: String,
    /// Something was taken off that says that this is a reply or was forwarded.
    pub is_reply: bool,
}

/// The base of a decoded subject. The steps are those of RFC 5256 §2.1.
pub fn base(subject: &str) -> Base {
    // (1) Runs of white space are one space.
    let mut text = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut is_reply = false;
    loop {
        // (2) Trailers.
        let end = without_trailers(&text).len();
        is_reply |= end < text.trim_end().len();
        text.truncate(end);
        // (3), (4), (5) Leaders and blobs.
        let (start, reply) = leaders(&text);
        is_reply |= reply;
        text.drain(..start);
        // (6) `[fwd: … ]`
        match within_forward(&text) {
            Some(inner) => {
                is_reply = true;
                text = inner.to_owned();
            }
            None => return Base { text, is_reply },
        }
    }
}

/// `subj-trailer = "(fwd)" / WSP`
fn without_trailers(text: &str) -> &str {
    let mut text = text.trim_end();
    while let Some(rest) = strip_suffix_ignoring_case(text, "(fwd)") {
        text = rest.trim_end();
    }
    text
}

fn strip_suffix_ignoring_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = (text.get(..at)?, text.get(at..)?);
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

/// Octets of `subj-leader`s and of `subj-blob`s that may go, and whether one of them was a `subj-refwd`.
fn leaders(text: &str) -> (usize, bool) {
    let (mut at, mut is_reply) = (0, false);
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        if trimmed.len() < rest.len() {
            at += rest.len() - trimmed.len();
        } else if let Some(len) = leader(rest) {
            (at, is_reply) = (at + len, true);
        } else {
            match blob(rest) {
                // (4) Only where something is left that is not a trailer.
                Some(len) if !without_trailers(&rest[len..]).trim_start().is_empty() => at += len,
                _ => return (at, is_reply),
            }
        }
    }
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`, `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn leader(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(len) = blob(&text[at..]) {
        at += len;
    }
    let word = ["re", "fwd", "fw"]
        .into_iter()
        .find(|word| text.get(at..at + word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))?;
    at += word.len();
    at += text[at..].len() - text[at..].trim_start().len();
    at += blob(&text[at..]).unwrap_or(0);
    text[at..].starts_with(':').then_some(at + 1)
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn blob(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']']).filter(|end| inner[*end..].starts_with(']'))?;
    let after = &inner[end + 1..];
    Some(text.len() - after.trim_start().len())
}

/// `subj-fwd = subj-fwd-hdr subject subj-fwd-trl`, `subj-fwd-hdr = "[fwd:"`, `subj-fwd-trl = "]"`
fn within_forward(text: &str) -> Option<&str> {
    let head = text.get(..5).filter(|head| head.eq_ignore_ascii_case("[fwd:"))?;
    text[head.len()..].strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bases() {
        for (subject, text, is_reply) in [
            ("Hello  there", "Hello there", false),
            ("Re: Hello", "Hello", true),
            ("RE : re[2]: Hello (fwd) (Fwd)", "Hello", true),
            ("[list] Hello", "Hello", false),
            ("[list] Re: [list] Hello", "Hello", true),
            ("[list]", "[list]", false),
            ("Re: [list]", "[list]", true),
            ("[Fwd: Re: Hello]", "Hello", true),
            ("Fwd [x]: Hello", "Hello", true),
            ("Regards", "Regards", false),
            ("fwd", "fwd", false),
            ("", "", false),
            ("Re:", "", true),
            ("[a [b] c", "[a [b] c", false),
        ] {
            assert_eq!(base(subject), Base { text: text.into(), is_reply }, "{subject}");
        }
    }

    proptest! {
        #[test]
        fn a_base_is_its_own_base(subject in "([Rr]e|[Ff]wd?|\\[|\\]|:| |\\(fwd\\)|a|ä){0,12}") {
            let first = base(&subject);
            let second = base(&first.text);
            prop_assert_eq!(&second.text, &first.text);
        }

        #[test]
        fn never_panics(subject: String) {
            base(&subject);
        }
    }
}
