//! What we say that we can: one table. A name stands here once all of it works.

use crate::host::Host;

/// When a capability is offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Not yet logged in.
    Before,
    /// Not yet logged in, and passwords may be sent.
    Passwords,
    /// The same, and accounts keep SCRAM keys.
    Scram,
    /// The same, and there is TLS to bind to.
    ScramPlus,
    /// Not yet logged in, and passwords may not be sent.
    NoPasswords,
    /// Not yet logged in, TLS can be started.
    StartTls,
    /// Logged in.
    After,
    /// Logged in, and not compressed yet.
    Compress,
    /// Logged in with what JMAP takes, too, and there is JMAP.
    Jmap,
}

const TABLE: &[(&str, When)] = &[
    ("IMAP4rev1", When::Always),
    ("IMAP4rev2", When::Always),
    ("LITERAL+", When::Always),
    ("SASL-IR", When::Before),
    ("STARTTLS", When::StartTls),
    ("LOGINDISABLED", When::NoPasswords),
    ("AUTH=SCRAM-SHA-256-PLUS", When::ScramPlus),
    ("AUTH=SCRAM-SHA-256", When::Scram),
    ("AUTH=PLAIN", When::Passwords),
    ("AUTH=LOGIN", When::Passwords),
    ("ID", When::Always),
    ("ENABLE", When::Always),
    ("IDLE", When::Always),
    ("NAMESPACE", When::After),
    ("UNSELECT", When::After),
    ("UIDPLUS", When::After),
    ("MOVE", When::After),
    ("REPLACE", When::After),
    ("CHILDREN", When::After),
    ("LIST-EXTENDED", When::After),
    ("LIST-STATUS", When::After),
    ("SPECIAL-USE", When::After),
    ("CREATE-SPECIAL-USE", When::After),
    ("STATUS=SIZE", When::After),
    ("ESEARCH", When::After),
    ("SEARCHRES", When::After),
    ("SEARCH=FUZZY", When::After),
    ("MULTISEARCH", When::After),
    ("WITHIN", When::After),
    ("PARTIAL", When::After),
    ("SORT", When::After),
    ("SORT=DISPLAY", When::After),
    ("ESORT", When::After),
    ("CONTEXT=SEARCH", When::After),
    ("CONTEXT=SORT", When::After),
    ("THREAD=ORDEREDSUBJECT", When::After),
    ("THREAD=REFERENCES", When::After),
    ("CONDSTORE", When::After),
    ("QRESYNC", When::After),
    ("UIDONLY", When::After),
    ("UIDBATCHES", When::After),
    ("BINARY", When::After),
    ("PREVIEW", When::After),
    ("MULTIAPPEND", When::After),
    ("CATENATE", When::After),
    ("URLAUTH", When::After),
    ("URLAUTH=BINARY", When::After),
    ("URL-PARTIAL", When::After),
    ("UTF8=ACCEPT", When::After),
    ("OBJECTID", When::After),
    ("SAVEDATE", When::After),
    ("INPROGRESS", When::After),
    ("COMPRESS=DEFLATE", When::Compress),
    ("LANGUAGE", When::After),
    ("JMAPACCESS", When::Jmap),
    ("METADATA", When::After),
    ("LIST-METADATA", When::After),
    ("NOTIFY", When::After),
    ("ACL", When::After),
    // RFC 4314 §2.2
    ("RIGHTS=texk", When::After),
    ("LIST-MYRIGHTS", When::After),
    ("QUOTA", When::After),
    ("QUOTA=RES-STORAGE", When::After),
    ("APPENDLIMIT=", When::After),
];

/// The capabilities now, separated by spaces.
pub(crate) fn list(host: &dyn Host, logged_in: bool) -> String {
    let security = host.security();
    let offered = |when: When| match when {
        When::Always => true,
        When::Before => !logged_in,
        When::Passwords => !logged_in && security.passwords,
        When::Scram => !logged_in && security.passwords && security.scram,
        When::ScramPlus => !logged_in && security.passwords && security.scram && host.binding().is_available(),
        // RFC 3501 §6.2.3: LOGINDISABLED where LOGIN would be refused.
        When::NoPasswords => !logged_in && !security.passwords,
        When::StartTls => !logged_in && security.starttls && !security.tls,
        When::After => logged_in,
        // RFC 4978 §3
        When::Compress => logged_in && host.can_compress(),
        // RFC 9698 §3
        When::Jmap => logged_in && host.jmap_session().is_some(),
    };
    let mut text = String::new();
    for (name, when) in TABLE {
        if !offered(*when) {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
        if *name == "APPENDLIMIT=" {
            // RFC 7889 §2
            text.push_str(&host.message_size().to_string());
        }
    }
    text
}
