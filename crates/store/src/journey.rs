//! The journey: what happened to a message, when, by which rule, with the other side's words.
//!
//! An event is written in the same transaction as what it tells. docs/journey.md lists every event
//! and what it keeps about people.

use mail::{QueueId, Timestamp};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was over, in milliseconds since 1970.
    pub at: i64,
    /// How long it took, in milliseconds, where that says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
    /// The recipient that it is about; none: the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// An event about the whole message.
    pub const fn new(at: Timestamp, what: What) -> Self {
        Self { at: at.millis(), took: None, recipient: None, what }
    }

    /// Whom it is about and what was last said of him, where it says how far a message came.
    pub fn last_words(&self) -> Option<(String, String)> {
        let words = match &self.what {
            What::Relayed { reply, .. } => reply.clone(),
            What::Deferred { words, .. } | What::Bounced { words, .. } | What::Expired { words, .. } => words.clone(),
            What::Delivered { .. } => "250 2.1.5 delivered".to_owned(),
            What::Discarded { rule } => format!("thrown away: {rule}"),
            _ => return None,
        };
        Some((self.recipient.clone()?, words))
    }

    /// An event about one recipient.
    pub const fn about(at: Timestamp, recipient: String, what: What) -> Self {
        Self { at: at.millis(), took: None, recipient: Some(recipient), what }
    }
}

/// TLS of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `TLSv1.3`.
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The certificate was checked against the name (`None`: not asked to).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What the other side's domain asks for and what was reached, in words: `DANE: the certificate matches TLSA 3 1 1`.
    /// Only of connections to other servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A word or a sign, and how likely it makes junk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// The word, with the field that it stood in where that is not the text: `prize`, `subject:prize`, `web:prize.example`.
    pub what: String,
    /// 0 to 100.
    pub percent: u8,
}

/// What happened. Names and fields are an interface: `trace --json` shows them as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// Accepted: our 250 after DATA (or the like).
    Received {
        /// `ESMTPSA` and the like (RFC 3848), `HTTP` for what came by JMAP, or `local` for what we made ourselves, or
        /// was handed in on this machine.
        protocol: String,
        /// The client's address; absent for submissions unless configured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// What the client called itself; of what was handed in on this machine, by which user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        helo: Option<String>,
        /// The account that sent it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// TLS; absent: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<Tls>,
        /// Octets.
        size: u64,
        /// The reverse-path, without brackets; empty: null.
        sender: String,
    },
    /// Who sent it was looked at: by the domain's servers (SPF), by signatures (DKIM), and by what the domain in From says of
    /// both (DMARC).
    Authenticated {
        /// SPF of MAIL FROM, or of HELO where that is null: `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`,
        /// `permerror`.
        spf: String,
        /// DKIM, of the best signature: the same, and `policy`.
        dkim: String,
        /// DMARC: `pass`, `fail`, `none`, `temperror`.
        dmarc: String,
        /// ARC; absent: no server on the way left any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arc: Option<String>,
        /// The domain in From; empty: there is no one such domain.
        domain: String,
        /// What that means, and what follows.
        words: String,
    },
    /// An address here stood for others.
    Expanded {
        /// The rule: `alias`, `catch-all`, `domain-alias`, `sub-address`, `postmaster`, `redirect` (by a script).
        rule: String,
        /// The targets.
        targets: Vec<String>,
    },
    /// Put into a mailbox here.
    Delivered {
        /// The account.
        account: String,
        /// The mailbox.
        mailbox: String,
    },
    /// It was taken without log-in, and may go elsewhere, for it came from a network that the operator trusts.
    Trusted {
        /// The client's address.
        from: String,
        /// The network, as it is configured.
        network: String,
    },
    /// A filter of others (milter) was shown it.
    Filtered {
        /// The filter's name.
        milter: String,
        /// What it did, in a sentence without its subject.
        words: String,
    },
    /// A script of its recipient's (RFC 5228) did something with his copy, or could not.
    Sorted {
        /// Whose script.
        account: String,
        /// The script, and the line of it: `sieve “rules”, line 5`.
        rule: String,
        /// What it did, in a sentence without its subject.
        words: String,
    },
    /// It carries our signature (DKIM) from now on.
    Signed {
        /// In whose name.
        domain: String,
        /// With which keys.
        selectors: Vec<String>,
    },
    /// Its sender wants it to leave later (RFC 4865), and may take it back until then where he sent it by JMAP.
    Held {
        /// When, in milliseconds since 1970.
        until: i64,
    },
    /// Waits for its next hop.
    Queued {
        /// What it is scheduled under.
        destination: String,
    },
    /// Where to was decided.
    Routed {
        /// The rule: `mx`, `implicit-mx`, `null-mx`, `route`, `smart-host`, `literal`, `loop`, `no-domain`, `dns-error`.
        rule: String,
        /// The hosts to try, in order, as `name [address]` or `name`.
        hosts: Vec<String>,
        /// How safe the connection to each host must be, in the same order: a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        policies: Vec<String>,
    },
    /// A server could not be talked to or would not take it for now; the next is tried.
    Failed {
        /// Host name, as in the MX record.
        host: String,
        /// Its address, where it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ip: Option<String>,
        /// At which point: `connect`, `greeting`, `ehlo`, `starttls`, `auth`, `mail`, `rcpt`, `data`, `end-of-data`.
        stage: String,
        /// The other side's words, or what failed.
        words: String,
        /// TLS; absent: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<Tls>,
    },
    /// The next server took it.
    Relayed {
        /// Host name.
        host: String,
        /// Its address.
        ip: String,
        /// Its reply to the end of data, with code.
        reply: String,
        /// TLS; absent: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<Tls>,
    },
    /// It is tried again.
    Deferred {
        /// Why: the last words.
        words: String,
        /// When, in milliseconds since 1970.
        next: i64,
    },
    /// It failed for good.
    Bounced {
        /// Why: the words.
        words: String,
        /// The report's queue id; absent: none is due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<String>,
    },
    /// It grew too old.
    Expired {
        /// Why it could not be delivered: the last words.
        words: String,
        /// The report's queue id; absent: none is due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<String>,
    },
    /// A report went out: of delay, of success, or that a script gave the message back.
    Reported {
        /// `delay`, `success`, `relayed` or `failed`.
        kind: String,
        /// The report's queue id.
        report: String,
    },
    /// Its recipient is away, and the sender was told so.
    Answered {
        /// The account that is away.
        account: String,
        /// The reply's queue id.
        report: String,
    },
    /// Its recipient is away, and the sender was not told so.
    NotAnswered {
        /// The account that is away.
        account: String,
        /// The rule: `no-sender`, `program`, `automatic`, `list`, `own`, `not-named`, `junk`, `told`, `too-many`, `not-taken`, `failed`.
        rule: String,
        /// What the rule says.
        words: String,
    },
    /// It was judged by what its recipient has taught about junk.
    Judged {
        /// The account that it was judged for.
        account: String,
        /// It looks like junk.
        junk: bool,
        /// How likely it is junk, 0 to 100.
        percent: u8,
        /// What counted, the strongest first.
        evidence: Vec<Weighed>,
    },
    /// A named policy or the operator threw it away.
    Discarded {
        /// Which.
        rule: String,
    },
    /// The operator did something: `hold`, `release`, `retry`, `bounce`.
    Operator {
        /// What.
        action: String,
    },
    /// The operator sent it on to another address, which takes the recipient's place.
    Redirected {
        /// Which.
        to: String,
    },
    /// A client was refused. Not of a message's journey: kept in the ring of refusals.
    Refused {
        /// The client's address.
        from: String,
        /// The reverse-path.
        sender: String,
        /// Our reply.
        reply: String,
        /// The rule.
        rule: String,
    },
}

/// The journey of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journey {
    /// Queue id, as shown.
    pub id: String,
    /// Message-ID.
    pub message_id: Option<String>,
    /// When it was accepted, in milliseconds since 1970.
    pub received_at: i64,
    /// The reverse-path without brackets.
    pub sender: String,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Recipients still queued, with their next try.
    pub waiting: Vec<(String, i64)>,
    /// Of these, those whose destination the operator has paused: they wait until he lets it go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<String>,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JourneyQuery {
    /// One message.
    Id(QueueId),
    /// By Message-ID, with or without brackets.
    MessageId(String),
    /// Sender or recipient.
    Address(String),
}
