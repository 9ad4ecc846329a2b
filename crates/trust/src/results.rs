//! `Authentication-Results` (RFC 8601): what was found, for those who read the message; and which of them are ours.

use std::fmt::Write as _;

use crate::dmarc::Aligned;
use crate::{Verdict, arc, dkim, spf};

/// What was found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// SPF of HELO.
    pub helo: spf::Checked,
    /// SPF of MAIL FROM; `None`: it was null.
    pub from: Option<spf::Checked>,
    /// Signatures.
    pub dkim: Vec<dkim::Checked>,
    /// DMARC.
    pub dmarc: Aligned,
    /// ARC.
    pub arc: arc::Chain,
}

impl Results {
    /// SPF as DMARC takes it: of MAIL FROM, of HELO where that is null.
    pub fn spf(&self) -> &spf::Checked {
        self.from.as_ref().unwrap_or(&self.helo)
    }

    /// DKIM in one word: that of the best signature.
    pub fn dkim(&self) -> Verdict {
        let has = |verdict| self.dkim.iter().any(|one| one.verdict == verdict);
        let order = [Verdict::Pass, Verdict::TempError, Verdict::Fail, Verdict::Policy, Verdict::PermError];
        order.into_iter().find(|verdict| has(*verdict)).unwrap_or(Verdict::None)
    }

    /// The results, each on its line: `authres-payload` (RFC 8601 §2.2) without the field's name.
    pub fn payload(&self, host: &str, mail_from: Option<&str>, helo: &str) -> String {
        let mut out = host.to_owned();
        let mut add = |method: &str, verdict: Verdict, why: &str, properties: &[(&str, &str)]| {
            let _infallible = write!(out, ";\r\n\t{method}={verdict}");
            if !why.is_empty() {
                let _infallible = write!(out, " ({why})");
            }
            for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
                let _infallible = write!(out, " {name}={}", value_text(value));
            }
        };
        if let (Some(spf), Some(from)) = (&self.from, mail_from) {
            add("spf", spf.verdict, spf.why, &[("smtp.mailfrom", from)]);
        }
        add("spf", self.helo.verdict, self.helo.why, &[("smtp.helo", helo)]);
        if self.dkim.is_empty() {
            add("dkim", Verdict::None, "", &[]);
        }
        for one in &self.dkim {
            let properties = [
                ("header.d", one.domain.as_str()),
                ("header.s", &one.selector),
                ("header.a", one.algorithm),
                ("header.b", &one.start),
            ];
            add("dkim", one.verdict, one.why, &properties);
        }
        let policy = format!("p={}", self.dmarc.wish.word());
        let why = match self.dmarc.verdict {
            Verdict::Pass | Verdict::Fail => policy.as_str(),
            _ => self.dmarc.why,
        };
        add("dmarc", self.dmarc.verdict, why, &[("header.from", &self.dmarc.domain)]);
        let sealed = format!("{} links, the last by {}", self.arc.length, self.arc.sealer);
        match self.arc.verdict {
            Verdict::None => {}
            Verdict::Pass => add("arc", Verdict::Pass, &sealed, &[]),
            verdict => add("arc", verdict, self.arc.why, &[]),
        }
        out
    }

    /// The whole field, with its line end.
    pub fn field(&self, host: &str, mail_from: Option<&str>, helo: &str) -> String {
        format!("Authentication-Results: {}\r\n", self.payload(host, mail_from, helo))
    }
}

/// `value` (RFC 2045 §5.1): a token, or a quoted string; in one line and of a bounded length, whatever a client sent.
fn value_text(text: &str) -> String {
    /// So that no line of the field comes near 998 octets.
    const LONGEST: usize = 320;
    // `tspecials` are quoted, but for the @ of an address (RFC 8601 §2.2, `pvalue`).
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~@".contains(c);
    let text: String = text.chars().take(LONGEST).filter(|c| !c.is_control()).collect();
    if !text.is_empty() && text.chars().all(is_token) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a field's value says that it is of `host` (RFC 8601 §5): such a one, come from outside, is a lie.
pub fn is_of(value: &[u8], host: &str) -> bool {
    let mut rest = value;
    // CFWS before the authserv-id.
    loop {
        rest = rest.trim_ascii_start();
        let Some(comment) = rest.strip_prefix(b"(") else { break };
        let mut depth = 1_usize;
        let mut escaped = false;
        let end = comment.iter().position(|b| {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let Some(end) = end else { return false };
        rest = comment.get(end + 1..).unwrap_or_default();
    }
    let id = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|b| *b == b'"').next(),
        None => rest.split(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'(' | b'/')).next(),
    };
    let id = id.unwrap_or_default();
    id.strip_suffix(b".").unwrap_or(id).eq_ignore_ascii_case(host.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_told_from_others() {
        let ours = [
            "mail.a.example; none",
            " MAIL.a.example.;x=y",
            "\r\n\t(a (b\\) c)) mail.a.example 1; none",
            "\"mail.a.example\"; x",
        ];
        for value in ours {
            assert!(is_of(value.as_bytes(), "mail.a.example"), "{value}");
        }
        for value in ["a.example; none", "mail.a.example.com; none", "(mail.a.example", "", "x; mail.a.example"] {
            assert!(!is_of(value.as_bytes(), "mail.a.example"), "{value}");
        }
    }
}
