//! Every bound of the system in one file: named, with its reason. A bound that an operator may change
//! is a configuration key whose default stands here.

use std::time::Duration;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[doc = $doc])+ pub const $name: $type = $value;)+

        /// Name, value and reason of every limit; docs/limits.md is made from it.
        pub fn table() -> Vec<(&'static str, String, &'static str)> {
            vec![$((stringify!($name), format!("{:?}", $name), concat!($($doc),+).trim())),+]
        }
    };
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

limits! {
    // Addresses and names.
    /// Octets of a local part (RFC 5321 §4.5.3.1.1).
    LOCAL_PART_LEN: usize = 64;
    /// Octets of a domain (RFC 1035 §2.3.4).
    DOMAIN_LEN: usize = 253;
    /// Octets of a keyword; longer ones are refused.
    KEYWORD_LEN: usize = 64;
    /// Keywords of one mailbox, all messages together.
    KEYWORDS_PER_MAILBOX: usize = 64;
    /// Octets of a mailbox name, decoded.
    MAILBOX_NAME_LEN: usize = 255;
    /// Mailboxes of one account.
    MAILBOXES_PER_ACCOUNT: usize = 10_000;
    /// Others that one mailbox is shared with.
    GRANTS_PER_MAILBOX: usize = 1_000;
    /// Octets of an annotation's name.
    ANNOTATION_NAME_LEN: usize = 255;
    /// Octets of an annotation's value (RFC 5464 §4.1 says at least 1,024): annotations don't count against the quota.
    ANNOTATION_LEN: usize = 16 * KIB;
    /// Annotations of one mailbox, and of the account itself (RFC 5464 §4.1 says at least 10).
    ANNOTATIONS_PER_MAILBOX: usize = 100;
    /// Annotations of one account, its mailboxes' among them: with the longest values 32 MiB.
    ANNOTATIONS_PER_ACCOUNT: usize = 2_000;
    /// Changes of names and annotations that wait for one session to look; with more it is told that it misses some.
    ACCOUNT_NEWS: usize = 1_000;

    // SMTP, received.
    /// Octets of a command line with CRLF (RFC 5321 §4.5.3.1.4 says 512; parameters and AUTH add to it).
    SMTP_COMMAND_LEN: usize = 12 * KIB;
    /// Octets of a text line of a message with CRLF. RFC 5321 §4.5.3.1.6 says 1,000; longer ones exist and are kept.
    SMTP_TEXT_LINE_LEN: usize = 1024 * KIB;
    /// Recipients of one message (RFC 5321 §4.5.3.1.8 says at least 100).
    SMTP_RECIPIENTS: usize = 1000;
    /// Octets of one message.
    MESSAGE_SIZE: usize = 50 * MIB;
    /// Commands that failed before 421 ends the session.
    SMTP_ERRORS: usize = 20;
    /// Commands of one session.
    SMTP_COMMANDS: usize = 100_000;
    /// Messages of one session; then 421, and the client opens another.
    SMTP_MESSAGES: usize = 10_000;
    /// Received fields before a message counts as looping (RFC 5321 §6.3 says at least 100).
    RECEIVED_HOPS: usize = 100;
    /// Octets of a Received field that are read to show the way of a message.
    RECEIVED_LEN: usize = 2000;
    /// Wait for a command (RFC 5321 §4.5.3.2.7).
    SMTP_COMMAND_TIMEOUT: Duration = Duration::from_secs(300);
    /// Wait for the next piece of a message (RFC 5321 §4.5.3.2.5).
    SMTP_DATA_TIMEOUT: Duration = Duration::from_secs(300);
    /// A whole message must arrive in this time: who sends a byte a minute holds no transaction for ever.
    SMTP_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3600);

    // Whether a message is from whom it says it is.
    /// Signatures of one message that are checked.
    DKIM_SIGNATURES: usize = 8;
    /// Links of a message's ARC chain (RFC 8617 §4.2.1).
    ARC_LINKS: usize = 50;
    /// Terms of an SPF record, with those that it includes, that ask DNS (RFC 7208 §4.6.4).
    SPF_LOOKUPS: usize = 10;
    /// Of what an SPF record asks DNS, so much may not be there (RFC 7208 §4.6.4).
    SPF_VOID_LOOKUPS: usize = 2;
    /// Mail servers of a domain, and names of an address, that SPF looks at (RFC 7208 §4.6.4).
    SPF_NAMES: usize = 10;
    /// Names on the way up from a domain that are asked for a DMARC policy (RFC 9989 §4.10).
    DMARC_STEPS: usize = 8;
    /// Questions to DNS for one message; what is asked beyond can't be known now.
    AUTHENTICATION_QUESTIONS: usize = 200;
    /// All checks of one message must end in this time; what is not known by then can't be known now.
    AUTHENTICATION_TIME: Duration = Duration::from_secs(20);

    // SMTP, sent.
    /// Octets of a reply's line that we read (RFC 5321 §4.5.3.1.5 says 512; some send more).
    SMTP_REPLY_LINE_LEN: usize = 4 * KIB;
    /// Lines of one reply that we read.
    SMTP_REPLY_LINES: usize = 100;
    /// Wait for a server's greeting (RFC 5321 §4.5.3.2.1).
    SMTP_GREETING_WAIT: Duration = Duration::from_secs(300);
    /// Wait for the reply to EHLO, MAIL, RCPT, RSET, STARTTLS and AUTH (RFC 5321 §4.5.3.2.2 and .3).
    SMTP_REPLY_WAIT: Duration = Duration::from_secs(300);
    /// Wait for the reply to DATA (RFC 5321 §4.5.3.2.4).
    SMTP_DATA_WAIT: Duration = Duration::from_secs(120);
    /// Wait for the server to take a block of the message (RFC 5321 §4.5.3.2.5).
    SMTP_BLOCK_WAIT: Duration = Duration::from_secs(180);
    /// Wait for the reply to the end of the message (RFC 5321 §4.5.3.2.6): shorter ones make duplicates.
    SMTP_END_WAIT: Duration = Duration::from_secs(600);
    /// Wait for the reply to QUIT; nothing depends on it.
    SMTP_QUIT_WAIT: Duration = Duration::from_secs(5);
    /// A connection must be open in this time; then the next host is tried.
    SMTP_CONNECT_WAIT: Duration = Duration::from_secs(30);
    /// A message up to this goes in one flight with its envelope, where the server offers PIPELINING and CHUNKING.
    SMTP_ONE_FLIGHT: usize = 64 * KIB;
    /// Octets of the other side's words kept in the journey and in bounces.
    REMOTE_WORDS: usize = KIB;

    // Networks that may send without log-in.
    /// Messages that a trusted network may send in an hour.
    TRUSTED_PER_HOUR: usize = 1_000;

    // Filters (milters).
    /// Octets of a filter's packet (libmilter sends values and pieces of up to 65,535 octets).
    MILTER_PACKET_LEN: usize = 128 * KIB;
    /// Wait for a filter's answer. It also bounds the connection to it.
    MILTER_TIMEOUT: Duration = Duration::from_secs(60);
    /// Wait for a filter's answer to a whole message, where it says that it is still at work.
    MILTER_PROGRESS_TIMEOUT: Duration = Duration::from_secs(300);
    /// Changes that one filter may want of one message, pieces of a new body aside.
    MILTER_CHANGES: usize = 1_000;

    // Connections.
    /// Octets of a PROXY header, which tells whose connection a proxy passes on.
    PROXY_HEADER_LEN: usize = 2 * KIB;
    /// A PROXY header must be whole in this time.
    PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
    /// Connections in all.
    CONNECTIONS: usize = 20_000;
    /// Connections of one address (IPv6: one /64).
    CONNECTIONS_PER_ADDRESS: usize = 50;
    /// Connections that wait for being accepted; the system may allow fewer.
    LISTEN_BACKLOG: i32 = 4096;
    /// File descriptors that connections leave to the store and the relay; half of all where there are few.
    DESCRIPTORS_KEPT: usize = 4096;
    /// Out of file descriptors, and without one to say so to clients, no connection is accepted for so long.
    ACCEPT_PAUSE: Duration = Duration::from_millis(200);
    /// Clients that are told so in one go, before open connections are looked at again.
    TURNED_AWAY_AT_ONCE: usize = 64;
    /// Octets of the buffer that a connection takes while it has unread input.
    CONNECTION_BUFFER: usize = 32 * KIB;
    /// Buffers that are kept for the next connection with input.
    CONNECTION_BUFFERS_KEPT: usize = 256;
    /// Wait for the client's end of a connection that we ended.
    CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
    /// Open sessions may end by themselves for so long after the sign to stop; `serve` ends within 10 s.
    STOP_TIMEOUT: Duration = Duration::from_secs(6);
    /// A request's header must arrive in this time, also the next one on a connection that is kept.
    HTTP_TIMEOUT: Duration = Duration::from_secs(60);
    /// Octets of a request's line and header fields together (RFC 9110 §15.5.15: 431 beyond).
    HTTP_HEADER_LEN: usize = 32 * KIB;
    /// Header fields of a request.
    HTTP_HEADERS: usize = 64;
    /// Requests at once on one connection of HTTP/2 (RFC 9113 §6.5.2 recommends at least 100).
    HTTP_STREAMS: u32 = 100;
    /// Octets of a request's JSON where log-ins are managed.
    HTTP_JSON_LEN: usize = 16 * KIB;
    /// Wait for the next piece of a request's body.
    HTTP_PIECE_TIMEOUT: Duration = Duration::from_secs(30);
    /// A request's JSON must arrive whole in this time.
    HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(60);
    /// An upload must arrive whole in this time.
    HTTP_UPLOAD_TIMEOUT: Duration = Duration::from_secs(3600);
    /// What an account has fetched from elsewhere must be there whole in this time, redirects included.
    OUTSIDE_TIMEOUT: Duration = Duration::from_secs(20);
    /// A connection there must be open, with TLS, in this time; then the host's next address is tried.
    OUTSIDE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Addresses of one host that are tried.
    OUTSIDE_ADDRESSES: usize = 4;
    /// Octets of the header of an answer from elsewhere.
    OUTSIDE_HEADER_LEN: usize = 32 * KIB;
    /// Redirects that are followed for a picture.
    OUTSIDE_REDIRECTS: usize = 4;
    /// Fetched from elsewhere at once for one account; the next one waits.
    OUTSIDE_PER_ACCOUNT: usize = 8;
    /// Octets of a picture that is fetched from elsewhere.
    PROXY_PICTURE_LEN: u64 = 16 * MIB as u64;
    /// Fetched from elsewhere at once, for all accounts together; the next one waits.
    OUTSIDE_AT_ONCE: usize = 64;
    /// Certificate files are looked at for changes this often.
    CERTIFICATE_CHECK: Duration = Duration::from_secs(60);

    // Certificates by ACME.
    /// It is looked whether a certificate is due at least this often.
    ACME_LOOK: Duration = Duration::from_secs(3600);
    /// Names of domains that get a certificate without being named in the configuration.
    ACME_NAMES: usize = 100;
    /// The authority must answer a request in this time.
    ACME_TIMEOUT: Duration = Duration::from_secs(30);
    /// Octets of one answer of the authority.
    ACME_ANSWER_LEN: usize = 256 * KIB;
    /// The authority must have looked at a name, and made a certificate, each in this time.
    ACME_ORDER_TIMEOUT: Duration = Duration::from_secs(300);
    /// Pause after a certificate was refused; it doubles with each further time (Let's Encrypt allows 5 in an hour).
    ACME_AGAIN: Duration = Duration::from_secs(900);
    /// The longest such pause.
    ACME_AGAIN_MOST: Duration = Duration::from_secs(86_400);
    /// The hook must have written to DNS, and all its servers must have it, in this time.
    ACME_HOOK_TIMEOUT: Duration = Duration::from_secs(900);
    /// Octets of what a failed hook says that are told.
    ACME_HOOK_WORDS: usize = 2 * KIB;

    // Signatures of what goes out.
    /// Keys of one domain, those that are retired included.
    SIGNING_KEYS: usize = 16;

    // The doctor.
    /// Each thing that is looked at or asked must answer in this time.
    DOCTOR_WAIT: Duration = Duration::from_secs(20);
    /// Octets of a mail server's words before TLS.
    DOCTOR_GREETING_LEN: usize = 16 * KIB;
    /// Old journeys are forgotten and space is given back this often.
    CARE_INTERVAL: Duration = Duration::from_secs(600);
    /// A TLS handshake must end in this time.
    TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Wait for the client to take what we send.
    WRITE_TIMEOUT: Duration = Duration::from_secs(300);
    /// SCRAM iterations that we do for a server as its client: more is a way to keep us busy (RFC 5802 §9).
    SCRAM_ITERATIONS_ASKED: u32 = 1_000_000;
    /// Failed log-ins of one address before it waits.
    LOGIN_FAILURES: usize = 10;
    /// An account waits after so many times the failures of one address: guesses from everywhere, or a stranger's mischief.
    LOGIN_FAILURES_ACCOUNT_FACTOR: usize = 10;
    /// Failures count for so long from the first one.
    LOGIN_FAILURE_WINDOW: Duration = Duration::from_secs(900);
    /// Addresses and accounts with failures that are remembered.
    LOGIN_FAILURES_KEPT: usize = 100_000;
    /// A verified log-in costs no hash again for so long.
    LOGIN_REMEMBERED: Duration = Duration::from_secs(600);
    /// Verified log-ins that are remembered.
    LOGINS_REMEMBERED: usize = 100_000;
    /// Iterations of SCRAM-SHA-256 (RFC 7677 §4 says at least 4,096).
    SCRAM_ITERATIONS: u32 = 10_000;
    /// Hashes of passwords at once: each takes 19 MiB.
    PASSWORD_HASHES: usize = 4;

    /// A browser's session that is not used for so long is over.
    SESSION_IDLE: Duration = Duration::from_secs(14 * 86_400);
    /// No session lasts longer, however it is used.
    SESSION_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
    /// Sessions of one account; a further one ends that which was unused the longest.
    SESSIONS_PER_ACCOUNT: usize = 50;
    /// App passwords of one account.
    APP_PASSWORDS_PER_ACCOUNT: usize = 100;
    /// Passkeys of one account.
    PASSKEYS_PER_ACCOUNT: usize = 20;
    /// Octets of a passkey's credential id (WebAuthn Level 3 §7.1: no longer one is kept).
    PASSKEY_ID_LEN: usize = 1023;
    /// Octets of a passkey's public key as COSE has it: RSA with 8192 bits, and what stands around it.
    PASSKEY_KEY_LEN: usize = 1100;
    /// A challenge for a passkey is good for so long (WebAuthn Level 3 §13.4.3), and once.
    PASSKEY_CHALLENGE_LIFETIME: Duration = Duration::from_secs(300);
    /// Challenges that were used and are not over yet, of which none is good again; when there are so many, passkeys wait.
    PASSKEY_CHALLENGES_USED: usize = 10_000;
    /// Of these, by one account: a key that is a program signs as fast as it can, and is to keep nobody else waiting.
    PASSKEY_CHALLENGES_USED_PER_ACCOUNT: usize = 100;
    /// Characters of an app password's or a passkey's name, and of what a browser says that it is.
    TOKEN_NAME_LEN: usize = 200;
    /// A token that is used again within this time, from the same address, is not noted again.
    TOKEN_USE_NOTED: Duration = Duration::from_secs(60);
    /// Wrong codes of one account, in `LOGIN_FAILURE_WINDOW`, before its second factor waits (RFC 4226 §7.3).
    TOTP_FAILURES: usize = 10;
    /// Recovery codes that an account with a second factor gets, each good for one log-in.
    RECOVERY_CODES: usize = 10;

    // Sieve.
    /// Octets of a script.
    SIEVE_SCRIPT_LEN: usize = 256 * KIB;
    /// The largest number in a script (RFC 5228 §2.4.1 says at least 2,147,483,647).
    SIEVE_NUMBER: u64 = (1 << 53) - 1;
    /// Octets of a string in a script, and of what its variables make of it.
    SIEVE_STRING_LEN: usize = 64 * KIB;
    /// Blocks and tests within each other (RFC 5228 §8.2 says at least 15 of each).
    SIEVE_NESTING: usize = 32;
    /// Variables of a script in a run (RFC 5229 §6 says at least 128).
    SIEVE_VARIABLES: usize = 256;
    /// Octets of a variable's value; longer ones are cut (RFC 5229 §6 says at least 4,000).
    SIEVE_VARIABLE_LEN: usize = 16 * KIB;
    /// Commands and tests in a run.
    SIEVE_STEPS: usize = 20_000;
    /// Octets that a run compares and looks through, all together: some tenths of a second.
    SIEVE_WORK: u64 = 32 * MIB as u64;
    /// Octets of a message's body that a script sees.
    SIEVE_BODY_LEN: usize = MIB;
    /// Lines of an explanation.
    SIEVE_EXPLANATION: usize = 2_000;
    /// Actions in a run.
    SIEVE_ACTIONS: usize = 32;
    /// Addresses that a message is sent on to in a run.
    SIEVE_REDIRECTS: usize = 8;
    /// Addresses that a notice goes to.
    SIEVE_NOTIFY_RECIPIENTS: usize = 8;
    /// Notices in a run.
    SIEVE_NOTICES: usize = 4;
    /// Scripts within scripts (RFC 6609 §3.2 says that there is a limit).
    SIEVE_INCLUDES: usize = 8;
    /// Marks of messages that one run asks about (RFC 7352).
    SIEVE_MARKS: usize = 8;
    /// Fields that a run adds (RFC 5293), and flags of a message.
    SIEVE_ADDED: usize = 64;
    /// Octets of a line of ManageSieve, without the literals that follow it.
    MANAGESIEVE_LINE_LEN: usize = 12 * KIB;
    /// Unknown commands, bad arguments and failed log-ins before a ManageSieve session ends.
    MANAGESIEVE_ERRORS: usize = 20;
    /// Scripts of an account.
    SIEVE_SCRIPTS: usize = 32;
    /// Octets of a script's name (RFC 5804 §1.6: 128 characters at least).
    SIEVE_SCRIPT_NAME_LEN: usize = 512;
    /// Octets of the reason in a reply that gives a message back: with the code it is one line (RFC 5321 §4.5.3.1.5).
    SIEVE_REASON_LEN: usize = 400;
    /// Marks of messages, and of who was told something, that are remembered for an account; those that last longest stay.
    SIEVE_MARKS_KEPT: usize = 5_000;
    /// The longest time for which a message's mark is remembered (RFC 7352 §3.1), or who was told that somebody is away.
    SIEVE_REMEMBERED: Duration = Duration::from_secs(90 * 86_400);

    // POP3 and IMAP.
    /// Octets of a POP3 command line (RFC 2449 §4 says 255; AUTH needs more).
    POP3_COMMAND_LEN: usize = 12 * KIB;
    /// Unknown commands, bad arguments and failed log-ins before a POP3 session ends.
    POP3_ERRORS: usize = 20;
    /// POP3's inactivity timer (RFC 1939 §3 says at least 10 minutes).
    POP3_TIMEOUT: Duration = Duration::from_secs(600);
    /// Messages looked up at once for a POP3 client that sends its commands ahead; one by one costs twice as much.
    POP3_AHEAD: usize = 64;
    /// Octets of one IMAP command without its literals.
    IMAP_COMMAND_LEN: usize = 64 * KIB;
    /// Octets of a literal that is not a message.
    IMAP_LITERAL_LEN: usize = 64 * KIB;
    /// Octets that one unauthenticated IMAP command may have in all.
    IMAP_UNAUTHENTICATED_LEN: usize = 16 * KIB;
    /// Parentheses within parentheses in a command.
    IMAP_NESTING: usize = 50;
    /// Items of a sequence set, of a FETCH list, of a SEARCH.
    IMAP_ITEMS: usize = 10_000;
    /// Octets of an IMAP command's tag.
    IMAP_TAG_LEN: usize = 256;
    /// Octets of an unwanted literal that are read and dropped; one that is announced bigger ends the connection.
    IMAP_DISCARDED_LITERAL: usize = 256 * MIB;
    /// Octets of a LIST's patterns together, its reference counted with each: matching takes time of pattern times name.
    IMAP_PATTERN_LEN: usize = 1024;
    /// Groups of events of a NOTIFY (RFC 5465).
    IMAP_NOTIFY_GROUPS: usize = 100;
    /// Mailboxes whose messages one NOTIFY listens to.
    IMAP_NOTIFY_MAILBOXES: usize = 20_000;
    /// Strings that one SEARCH looks for in messages: each may read and decode every message of the mailbox.
    IMAP_SEARCH_STRINGS: usize = 256;
    /// Commands in a row that are not grammatical before BYE.
    IMAP_ERRORS: usize = 20;
    /// Failed log-ins on one connection before BYE.
    IMAP_LOGIN_FAILURES: usize = 5;
    /// Messages of one APPEND (RFC 3502).
    IMAP_APPEND_MESSAGES: usize = 100;
    /// URLs in one line of CATENATE (RFC 4469).
    IMAP_CATENATE_PARTS: usize = 1_000;
    /// URLs of one GENURLAUTH or URLFETCH (RFC 4467).
    IMAP_URLS: usize = 100;
    /// Pipelined APPENDs of one session that are committed together.
    IMAP_COMMITS_AT_ONCE: usize = 512;
    /// Octets of replies that are collected before they are sent.
    IMAP_OUTPUT: usize = 64 * KIB;
    /// Messages whose bytes are asked of the store at once.
    IMAP_FETCH_BATCH: usize = 64;
    /// Octets of parsed structures kept for all sessions together.
    IMAP_STRUCTURES: usize = 32 * MIB;
    /// Messages whose digests are asked of the store at once.
    IMAP_DIGESTS_AT_ONCE: usize = 1024;
    /// Octets of a part of a digest; a message of which it would be longer is read each time.
    IMAP_DIGEST_PART: usize = 64 * KIB;
    /// Octets of what SORT and THREAD know of messages, kept for all sessions together.
    IMAP_FACTS: usize = 64 * MIB;
    /// References of a message that THREAD follows, the last ones.
    IMAP_REFERENCES: usize = 100;
    /// Messages above another that THREAD looks through so that nothing stands above itself.
    IMAP_THREAD_DEPTH: usize = 10_000;
    /// Octets of a message's text that SEARCH looks at at once: a larger one is searched in pieces that overlap.
    IMAP_SEARCH_TEXT: usize = 4 * MIB;
    /// Ranges of UIDs in one VANISHED response, messages in one ESEARCH that tells what changed; more are told in several.
    IMAP_VANISHED_RANGES: usize = 1_000;
    /// Ranges of UIDs that `$` may stand for; a longer result is not kept.
    IMAP_SAVED_RANGES: usize = 10_000;
    /// SEARCHes and SORTs of one session whose results are kept current (RFC 5267 §4.3.1 says at least 1).
    IMAP_CONTEXTS: usize = 16;
    /// What these may have to remember together: their search keys, ranges of UIDs found, messages sorted.
    IMAP_CONTEXT_ENTRIES: usize = 100_000;
    /// Messages of a batch in UIDBATCHES at least (RFC 10022 §3.1.3 says 500 at most).
    IMAP_UID_BATCH: u32 = 500;
    /// Characters of a PREVIEW (RFC 8970 §3.1 says 200 are enough).
    IMAP_PREVIEW_CHARS: usize = 200;
    /// Octets of a message's text that a PREVIEW is made of.
    IMAP_PREVIEW_LOOKED_AT: u64 = 16 * 1024;
    /// A client that waits for a SEARCH hears so often how far it is (INPROGRESS).
    IMAP_PROGRESS_EVERY: Duration = Duration::from_secs(10);
    /// Octets that are inflated at once of a compressed connection.
    INFLATED_AT_ONCE: usize = 64 * KIB;
    /// A sign of life in IDLE after this long without news: address translators forget silent connections.
    IMAP_IDLE_NOTICE: Duration = Duration::from_secs(120);
    /// IMAP's autologout timer (RFC 3501 §5.4 says at least 30 minutes).
    IMAP_TIMEOUT: Duration = Duration::from_secs(1800);
    /// The same before log-in.
    IMAP_UNAUTHENTICATED_TIMEOUT: Duration = Duration::from_secs(180);

    // The client (`mua`).
    /// How long a server may take for an answer to our client.
    MUA_TIMEOUT: Duration = Duration::from_secs(60);
    /// Octets of a line that our client reads from a server.
    MUA_LINE_LEN: usize = MIB;
    /// Octets that our client reads at once.
    MUA_READ: usize = 64 * KIB;
    /// Octets of one answer that our client keeps in memory: a message and some more.
    MUA_ANSWER_LEN: usize = 128 * MIB;
    /// Octets that our client asks for at once when it saves a part.
    MUA_PIECE: u64 = 512 * 1024;

    // MIME.
    /// Parts within parts; deeper ones are text.
    MIME_DEPTH: usize = 50;
    /// Parts of a message; further ones belong to the last.
    MIME_PARTS: usize = 5_000;
    /// Octets of a header that are looked at.
    HEADER_LEN: usize = MIB;
    /// Parameters of one header field, RFC 2231 continuations included.
    MIME_PARAMETERS: usize = 100;
    /// Addresses of a message's envelopes, those of messages within it included; further ones are not shown.
    ENVELOPE_ADDRESSES: usize = 10_000;
    /// Octets of an encoded word (RFC 2047 §2: 75; some send a whole subject as one).
    ENCODED_WORD_LEN: usize = 4 * KIB;
    /// Octets at the beginning of a body line that are looked at for a boundary (RFC 2046 §5.1.1: 70 at most).
    BOUNDARY_LINE_LEN: usize = KIB;

    // Audit.
    /// Acts in the audit log; the oldest make room.
    AUDIT_ACTS: usize = 100_000;
    /// Log-ins that are alike within this time are one act.
    AUDIT_PERIOD: Duration = Duration::from_secs(3600);
    /// Kinds of log-ins within such a time that are noted, of those that were let in and of those that were not: whoever makes
    /// up names takes no more room.
    AUDIT_LOGINS: usize = 5_000;
    /// Octets of what an act was about.
    AUDIT_ABOUT_LEN: usize = 500;

    // Junk.
    /// Octets of text of one message whose words are counted.
    JUNK_TEXT: usize = 64 * KIB;
    /// Words of one message that are counted.
    JUNK_WORDS: usize = 4_000;
    /// Words and clues that decide about one message: the strongest.
    JUNK_EVIDENCE: usize = 150;
    /// Messages of each kind, junk and good, that an account has taught before its words count.
    JUNK_LESSONS: u32 = 10;
    /// Messages that one change of many teaches about: the newest.
    LESSONS_AT_ONCE: usize = 100;
    /// Words and clues of one message that the journey tells: the strongest.
    JUNK_TOLD: usize = 12;
    /// Words that are counted for one account.
    JUNK_WORDS_PER_ACCOUNT: usize = 200_000;
    /// From here on a message is junk; 1 is certain.
    JUNK_SCORE: f64 = 0.9;

    // Store.
    /// Changes in one transaction.
    COMMIT_CHANGES: usize = 4_096;
    /// A message above this streams to a file of its own.
    BODY_IN_MEMORY: usize = MIB;
    /// Messages that were streamed to a file and are looked at before they are taken, together.
    INSPECTED_IN_MEMORY: usize = 64 * MIB;
    /// Above this too once `BODIES_IN_MEMORY` are used up.
    BODY_IN_MEMORY_CROWDED: usize = 64 * KIB;
    /// All bodies in memory together.
    BODIES_IN_MEMORY: usize = 64 * MIB;
    /// Small bodies stay in memory all the same; with so much of them no further message is begun (451).
    BODIES_IN_MEMORY_MOST: usize = 256 * MIB;
    /// Octets of the indexes of mailboxes that stay in memory though nobody looks into them: about 40 for each message.
    INDEXES_KEPT: usize = 32 * MIB;
    /// One read of a body.
    READ_CHUNK: usize = 256 * KIB;
    /// Octets of a segment of the message log.
    SEGMENT_LEN: usize = 256 * MIB;
    /// The WAL's length at which the writer makes a checkpoint.
    WAL_LEN: usize = 64 * MIB;
    /// Messages that stand in the order in which they came before they go, many at once, to their mailboxes' places.
    ARRIVALS: usize = 8192;
    /// How long they stand there at most: who reads looks through all of them.
    SETTLE_AFTER: Duration = Duration::from_secs(1);
    /// Octets that one account keeps as uploads, messages to be or parts of them (JMAP); the oldest make room for new ones.
    UPLOADS_PER_ACCOUNT: u64 = 64 * MIB as u64;
    /// Uploads of one account.
    UPLOADS_COUNT: usize = 500;
    /// How long they are kept (RFC 8620 §6.1 says an hour at least).
    UPLOAD_KEPT: Duration = Duration::from_secs(24 * 3600);
    /// Free space below which nothing is accepted (452); deleting still works.
    DISK_RESERVE: usize = 256 * MIB;

    // JMAP.
    /// Octets of an API request (RFC 8620 §2: maxSizeRequest).
    JMAP_REQUEST_LEN: usize = 10 * MIB;
    /// Octets of a response, about; of a call whose answer does not fit the error is told.
    JMAP_RESPONSE_LEN: usize = 64 * MIB;
    /// Method calls of one request (RFC 8620 §2: maxCallsInRequest).
    JMAP_CALLS: usize = 64;
    /// Values in a request, those within others counted: a small one takes a hundred times its octets of memory.
    JMAP_VALUES: usize = 100_000;
    /// Levels of arrays and objects in a request.
    JMAP_DEPTH: usize = 64;
    /// Objects that one call asks for (RFC 8620 §2: maxObjectsInGet).
    JMAP_OBJECTS_IN_GET: usize = 1_000;
    /// Objects that one call makes, changes and destroys together (RFC 8620 §2: maxObjectsInSet).
    JMAP_OBJECTS_IN_SET: usize = 1_000;
    /// Requests of one user at once (RFC 8620 §2: maxConcurrentRequests).
    JMAP_REQUESTS_AT_ONCE: usize = 8;
    /// Uploads of one user at once (RFC 8620 §2: maxConcurrentUpload).
    JMAP_UPLOADS_AT_ONCE: usize = 4;
    /// Ids in one answer of a query.
    JMAP_QUERY: usize = 10_000;
    /// Queries of an account whose answers are kept until something of it changes.
    JMAP_ANSWERS_KEPT: usize = 8;
    /// Ids in all of these.
    JMAP_ANSWERS_IDS: usize = 2_000_000;
    /// Octets of a query whose answer is kept.
    JMAP_ANSWER_WORDS: usize = 4 * KIB;
    /// Conditions and operators of a filter: each is tried on every message.
    JMAP_FILTER_CONDITIONS: usize = 100;
    /// Properties to sort by.
    JMAP_COMPARATORS: usize = 10;
    /// Properties of a message, or of its parts, that one call asks for.
    JMAP_PROPERTIES: usize = 100;
    /// Accounts whose messages are held ready, 16 octets for each message.
    JMAP_ACCOUNTS: usize = 100;
    /// Mailboxes of one message (RFC 8621 §1.3.1: maxMailboxesPerEmail).
    JMAP_MAILBOXES_PER_EMAIL: usize = 100;
    /// Parts of a message that is composed.
    JMAP_PARTS: usize = 200;
    /// Pieces that a blob is put together of (RFC 9404 §3.1: maxDataSources).
    JMAP_DATA_SOURCES: usize = 64;
    /// WebSockets of one account: each may hold one message that waits, of `JMAP_REQUEST_LEN`.
    JMAP_SOCKETS_PER_ACCOUNT: usize = 16;
    /// Octets of a frame that a WebSocket sends; a longer message goes in several, so that no other copy of all of it is made. A longer
    /// frame that comes is cut: buffers for frames are kept as long as the connection is.
    JMAP_SOCKET_FRAME: usize = 64 * KIB;
    /// A WebSocket is asked so often whether the client is still there; it ends where no frame came since the question before.
    JMAP_SOCKET_PING: Duration = Duration::from_secs(60);
    /// What a WebSocket sends is taken within this time, however slowly: a long answer holds its account's turn until then.
    JMAP_SOCKET_ANSWER: Duration = Duration::from_secs(600);
    /// Accounts of which one user's listeners hear: his own, and the first of those that share something with him.
    PUSH_ACCOUNTS: usize = 100;
    /// Changes that come within this time after the first are told together.
    PUSH_GATHER: Duration = Duration::from_millis(20);
    /// Listeners for changes (event sources, WebSockets) of one account.
    PUSH_LISTENERS_PER_ACCOUNT: usize = 100;
    /// Listeners for changes in all.
    PUSH_LISTENERS: usize = 20_000;
    /// Push subscriptions that are told in all, apart from those listeners: these stay, with nobody connected. Further ones are told
    /// what they missed when there is room.
    PUSH_FOLLOWERS: usize = 50_000;
    /// A listener is told that the connection lives no more often (RFC 8620 §7.3: at most 30 s) ...
    PUSH_PING_LEAST: Duration = Duration::from_secs(5);
    /// ... and no less often (RFC 8620 §7.3: at least 300 s), whatever it asks for.
    PUSH_PING_MOST: Duration = Duration::from_secs(300);
    /// Push subscriptions of one account.
    PUSH_SUBSCRIPTIONS_PER_ACCOUNT: usize = 50;
    /// Push subscriptions that one account may make within an hour: each makes us send something to where it says
    /// (RFC 8620 §8.6).
    PUSH_SUBSCRIPTIONS_PER_HOUR: usize = 100;
    /// A push subscription without an end of its own, whose credential has none, ends after this time; it can't be put off
    /// further (RFC 8620 §7.2: at least 48 hours, better 7 days).
    PUSH_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
    /// A push subscription whose client did not say the code within this time is over.
    PUSH_UNVERIFIED: Duration = Duration::from_secs(86_400);
    /// Octets of a push subscription's URL.
    PUSH_URL_LEN: usize = 2 * KIB;
    /// Octets of the name that a client gives itself, and of a type's name, in a push subscription.
    PUSH_NAME_LEN: usize = 255;
    /// Types that one push subscription names.
    PUSH_TYPES: usize = 64;
    /// Octets of a push message before it is encrypted: push services take that much (RFC 8291 §4). What is more goes in
    /// several messages.
    PUSH_MESSAGE_LEN: usize = 3_993;
    /// A push service that takes less than this is told nothing more of that change.
    PUSH_MESSAGE_LEAST: usize = 500;
    /// A push service keeps a message so long for a device that is off (RFC 8030 §5.2).
    PUSH_KEPT: Duration = Duration::from_secs(7 * 86_400);
    /// One push subscription is told of changes no more often than this; what comes sooner goes with the next message (RFC 8620 §7.2: the
    /// server may hold back and put together).
    PUSH_PAUSE: Duration = Duration::from_secs(5);
    /// Push messages under way at once; the next one waits.
    PUSH_AT_ONCE: usize = 64;
    /// Of these, to one host: one that is slow holds up nobody else.
    PUSH_PER_HOST: usize = 16;
    /// What could not be pushed is tried again after this time, then after twice that, ...
    PUSH_RETRY_LEAST: Duration = Duration::from_secs(30);
    /// ... and no less often than so, whatever the push service asks for.
    PUSH_RETRY_MOST: Duration = Duration::from_secs(4 * 3600);
    /// What is signed for a push service is good so long (RFC 8292 §2: at most 24 hours).
    PUSH_SIGNED: Duration = Duration::from_secs(12 * 3600);

    /// Names and addresses that one account sends under.
    IDENTITIES_PER_ACCOUNT: usize = 200;
    /// Octets of what one of them says: name, signatures, addresses.
    IDENTITY_LEN: usize = 64 * KIB;
    /// What an account sent by JMAP is told of for so many messages; older ones that have left make room.
    SUBMISSIONS_PER_ACCOUNT: usize = 500;
    /// And for so long.
    SUBMISSION_KEPT: Duration = Duration::from_secs(30 * 86_400);
    /// What went of them, and of identities, is told to clients that were away for so many of each account.
    SENDING_GONE: usize = 500;
    /// A message waits no longer than this for the time at which its sender lets it leave (RFC 8621 §1.3.2: maxDelayedSend; over
    /// SMTP RFC 4865 §3: FUTURERELEASE).
    HOLD_LONGEST: Duration = Duration::from_secs(366 * 86_400);

    // Queue and relay.
    /// A message that can't be delivered for so long is returned (RFC 5321 §4.5.4.1: 4–5 days).
    QUEUE_LIFETIME: Duration = Duration::from_secs(5 * 86_400);
    /// A delay this long is told to the sender (RFC 3461 §4.1).
    QUEUE_WARNING: Duration = Duration::from_secs(4 * 3600);
    /// The first retry comes after this.
    QUEUE_FIRST_RETRY: Duration = Duration::from_secs(300);
    /// No retry waits longer than this.
    QUEUE_LAST_RETRY: Duration = Duration::from_secs(4 * 3600);
    /// Connections to one destination at once.
    RELAY_PER_DESTINATION: usize = 20;
    /// Connections to all destinations at once: half of them at most for destinations that have not answered yet, a
    /// tenth for those that did not when last asked.
    RELAY_CONNECTIONS: usize = 500;
    /// A try that takes longer than this no longer counts among `RELAY_CONNECTIONS`: who is slow holds up nobody else.
    RELAY_SLOW_AFTER: Duration = Duration::from_secs(2);
    /// Tries that take longer, at once; further ones count among `RELAY_CONNECTIONS`.
    RELAY_SLOW: usize = 1_000;
    /// A destination that does not answer is left alone for at most this; its mail keeps its own times.
    RELAY_DOWN: Duration = Duration::from_secs(900);
    /// Messages that one worker claims and reads at once.
    RELAY_CLAIM: usize = 16;
    /// A route is asked of DNS again after this at the latest, sooner where DNS says so.
    ROUTE_BELIEVED: Duration = Duration::from_secs(60);
    /// A connection is kept open so long for the next message to the same destination.
    RELAY_IDLE: Duration = Duration::from_secs(2);
    /// Answers to "does this recipient exist at the next hop" that are remembered.
    VERIFY_CACHE: usize = 10_000;
    /// A yes is believed so long.
    VERIFY_YES: Duration = Duration::from_secs(3600);
    /// A no is believed so long: a new mailbox should work soon.
    VERIFY_NO: Duration = Duration::from_secs(300);
    /// A client at RCPT waits so long for the next hop's answer; then it gets 450.
    VERIFY_WAIT: Duration = Duration::from_secs(30);
    /// Octets of a message that a report returns with RET=FULL; of a longer one only the header.
    DSN_RETURN: u64 = 64 * 1024;
    /// Messages over one connection.
    RELAY_MESSAGES_PER_CONNECTION: usize = 100;
    /// Recipients in one transaction (RFC 5321 §4.5.3.1.8).
    RELAY_RECIPIENTS: usize = 100;
    /// MX hosts tried in one attempt (RFC 5321 §5.1 allows a limit).
    RELAY_HOSTS: usize = 10;
    /// TLSA records of a server that its certificate is compared with. Few have more than four (RFC 7671 §8.1).
    TLSA_RECORDS: usize = 32;
    /// Targets of one alias, all its aliases included.
    ALIAS_TARGETS: usize = 1000;
    /// Aliases within aliases.
    ALIAS_DEPTH: usize = 10;
    /// Who was told that somebody is away is not told again within this time (RFC 5230 §4.1 suggests 7 days).
    AWAY_AGAIN: Duration = Duration::from_secs(7 * 86_400);
    /// Senders that one account tells within that time; further ones hear nothing: forged ones must not make it a source of spam.
    AWAY_TOLD: usize = 1_000;
    /// Octets of an away notice's text, and of the same in HTML.
    AWAY_TEXT_LEN: usize = 64 * KIB;
    /// Octets of an away notice's subject.
    AWAY_SUBJECT_LEN: usize = KIB;
    /// Addresses of a message that are looked at for the account's own before it is answered.
    AWAY_RECIPIENTS: usize = 100;
    /// Messages that an away notice refers to, beside that which it answers (RFC 5322 §3.6.4).
    AWAY_REFERENCES: usize = 20;
    /// Events of one message's journey.
    JOURNEY_EVENTS: usize = 1000;
    /// How long journeys are kept.
    JOURNEY_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
    /// Journeys that one `trace` shows.
    TRACE_JOURNEYS: usize = 100;
    /// Journeys of one account that are followed while somebody listens to it.
    JOURNEYS_FOLLOWED: usize = 1000;
    /// `trace` waits no longer for what is still being written.
    TRACE_WAIT: Duration = Duration::from_secs(10);
    /// A command waits no longer for another process to be done with the store.
    STORE_WAIT: Duration = Duration::from_secs(10);
    /// Connections of one address (IPv6: of one /64) to port 25 within a minute.
    POLICY_CONNECTIONS: u32 = 300;
    /// Messages of one address within an hour.
    POLICY_MESSAGES: u32 = 5_000;
    /// Recipients of one address within an hour.
    POLICY_RECIPIENTS: u32 = 20_000;
    /// A network (IPv4: /24, IPv6: /48) may have so many times what an address may.
    POLICY_NETWORK_TIMES: u32 = 4;
    /// Recipients of one account within an hour.
    POLICY_ACCOUNT_RECIPIENTS: u32 = 1_000;
    /// What is counted of strangers and accounts, each with a name: addresses, networks; as many whom greylisting knows, and
    /// who came once. Where there are more, those that count least are forgotten.
    POLICY_BUCKETS: usize = 100_000;
    /// Names of one address that are looked at.
    POLICY_NAMES: usize = 5;
    /// Who is not known may come again after this (greylisting).
    GREYLIST_WAIT: Duration = Duration::from_secs(300);
    /// Senders and recipients of one network that are remembered in an hour, of those who came once.
    GREYLIST_NAMES: u32 = 1_000;
    /// He has to come again within this.
    GREYLIST_WINDOW: Duration = Duration::from_secs(86_400);
    /// Who came again is known so long after he came last.
    GREYLIST_KNOWN: Duration = Duration::from_secs(36 * 86_400);
    /// Queued messages that are looked at, listed or changed at once; a longer list comes in pages of so many.
    QUEUE_PAGE: usize = 1_000;
    /// Ids of messages that a command on many of them names before it does something.
    QUEUE_PREVIEW: usize = 10;
    /// Octets of one line on the control socket.
    CONTROL_REQUEST_LEN: usize = MIB;
    /// Refusals kept; strangers can cause them at will, so the oldest go.
    REFUSALS: usize = 10_000;
}
