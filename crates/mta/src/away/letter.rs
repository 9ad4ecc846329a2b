//! What a message says of itself that matters to an automatic reply.

use mail::{Address, limits};
use message::envelope::addresses;
use message::header::Header;
use store::WhyNot;

/// Fields that say to whom a message goes (RFC 5230 §4.5).
const TO: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

/// Senders that are programs, without `-`, `_` and `.` (RFC 3834 §2, RFC 5230 §4.6, and what is usual).
const PROGRAMS: [&str; 6] = ["mailerdaemon", "listserv", "majordomo", "bounce", "bounces", "autoreply"];

/// What such names begin or end with.
const NO_REPLY: [&str; 2] = ["noreply", "donotreply"];

/// A message, as far as its header tells.
pub(crate) struct Letter {
    why_not: Option<WhyNot>,
    recipients: Vec<Address>,
    /// Who wrote it, as it says.
    pub(crate) author: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) message_id: Option<String>,
    /// What it refers to, without brackets, oldest first.
    pub(super) references: Vec<String>,
}

impl Letter {
    pub(crate) fn of(header: &Header<'_>) -> Self {
        let named = header.fields().filter(|field| TO.iter().any(|name| field.is(name)));
        let recipients = named.flat_map(|field| addresses(field.raw_value())).filter_map(|one| one.address());
        Self {
            why_not: why_not(header),
            recipients: recipients
                .take(limits::AWAY_RECIPIENTS)
                .filter_map(|text| {
                    let (local, domain) = text.rsplit_once('@')?;
                    Address::new(local, wire::address::domain(domain).ok()?).ok()
                })
                .collect(),
            author: header.from(),
            subject: header.subject(),
            message_id: header.message_id(),
            references: header.references(limits::AWAY_REFERENCES),
        }
    }

    /// Why it is not answered, whoever sent it.
    pub(super) const fn why_not(&self) -> Option<WhyNot> {
        self.why_not
    }

    /// A program made it.
    pub(crate) fn is_automatic(&self) -> bool {
        self.why_not == Some(WhyNot::Automatic)
    }

    /// What it is called.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whom it names.
    pub(super) fn recipients(&self) -> &[Address] {
        &self.recipients
    }
}

fn why_not(header: &Header<'_>) -> Option<WhyNot> {
    let value = |name: &str| header.get(name).map(|field| String::from_utf8_lossy(&field.unfolded()).to_lowercase());
    // RFC 3834 §2: the keyword may be followed by parameters and comments.
    let keyword = |text: &str| text.split([';', '(', ' ', '\t']).next().map(str::to_owned).unwrap_or_default();
    if header
        .all("Auto-Submitted")
        .any(|field| keyword(&String::from_utf8_lossy(&field.unfolded()).to_lowercase()) != "no")
    {
        return Some(WhyNot::Automatic);
    }
    // A report that did not come from the null reverse-path is one all the same (RFC 6522).
    if value("Content-Type").is_some_and(|kind| keyword(&kind) == "multipart/report") {
        return Some(WhyNot::Automatic);
    }
    // Quirk: Exchange and Outlook say so what they don't want to be answered by (MS-OXCMAIL 2.2.3.2.14).
    let suppressed =
        |text: String| ["all", "oof", "autoreply"].iter().any(|kind| text.split([',', ' ']).any(|one| one == *kind));
    if value("X-Auto-Response-Suppress").is_some_and(suppressed) {
        return Some(WhyNot::Automatic);
    }
    // RFC 5230 §4.6: any field of a mailing list.
    let is_list = |name: &[u8]| name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"List-"));
    if header.fields().any(|field| is_list(field.name()) || field.is("Mailing-List")) {
        return Some(WhyNot::List);
    }
    // RFC 3834 §2: not registered, but in use.
    let to_many = |text: String| ["bulk", "junk", "list"].contains(&keyword(&text).as_str());
    value("Precedence").is_some_and(to_many).then_some(WhyNot::List)
}

/// Whether an address is a program's, by its name.
pub(super) fn is_program(address: &Address) -> bool {
    let local = address.local().to_lowercase();
    let plain = local.split('+').next().unwrap_or_default();
    let bare: String = plain.chars().filter(|c| !matches!(c, '-' | '_' | '.')).collect();
    let of_list = plain.starts_with("owner-")
        || ["-request", "-owner", "-bounce", "-bounces"].iter().any(|end| plain.ends_with(end));
    let of_bounces = ["bounce-", "bounces-"].iter().any(|start| plain.starts_with(start));
    let no_reply = NO_REPLY.iter().any(|name| bare.starts_with(name) || bare.ends_with(name));
    of_list || of_bounces || no_reply || PROGRAMS.contains(&bare.as_str())
}
