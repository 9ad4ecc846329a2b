//! `command` (RFC 3501 §9): the tag, the name, and whose arguments follow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::acl::Acl;
use super::append::{Append, Replace};
use super::batches::UidBatches;
use super::change::Store;
use super::cursor::{Bad, Cursor, is_tag_char};
use super::fetch::Fetch;
use super::mailbox::{Create, List, Select, StatusItem};
use super::metadata::{GetMetadata, SetMetadata};
use super::multisearch::MultiSearch;
use super::mutf7::Names;
use super::notify::Notify;
use super::search::Search;
use super::sequence::MessageSet;
use super::sort::{Sort, Thread};
use super::urlauth::UrlFetch;

/// A command with its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The client's name for it.
    pub tag: String,
    /// What it asks, or why it is none (BAD).
    pub command: Result<Command, Bad>,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID (RFC 2971)
    Id(Vec<(String, Option<String>)>),
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE, perhaps with an initial response (RFC 4959)
    Authenticate {
        /// In upper case.
        mechanism: String,
        /// Decoded.
        initial: Option<Vec<u8>>,
    },
    /// LOGIN
    Login {
        /// The name.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// ENABLE (RFC 5161), names in upper case
    Enable(Vec<String>),
    /// SELECT or EXAMINE
    Select(Select),
    /// CREATE
    Create(Create),
    /// DELETE
    Delete(String),
    /// RENAME
    Rename(String, String),
    /// SUBSCRIBE (true) or UNSUBSCRIBE
    Subscribe(String, bool),
    /// LIST
    List(List),
    /// LSUB
    Lsub(List),
    /// GETJMAPACCESS (RFC 9698)
    GetJmapAccess,
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// STATUS
    Status(String, Vec<StatusItem>),
    /// IDLE (RFC 2177)
    Idle,
    /// APPEND, up to its first message
    Append(Append),
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with its set (RFC 4315)
    Expunge(Option<MessageSet>),
    /// SEARCH
    Search(Search),
    /// FETCH
    Fetch(Fetch),
    /// STORE
    Store(Store),
    /// COPY
    Copy(Transfer),
    /// MOVE (RFC 6851)
    Move(Transfer),
    /// ESEARCH (RFC 7377)
    MultiSearch(MultiSearch),
    /// SORT (RFC 5256)
    Sort(Sort),
    /// THREAD (RFC 5256)
    Thread(Thread),
    /// CANCELUPDATE (RFC 5267), the tags
    CancelUpdate(Vec<String>),
    /// LANGUAGE (RFC 5255)
    Language(Vec<String>),
    /// COMPRESS (RFC 4978), the algorithm in upper case
    Compress(String),
    /// GETQUOTA (RFC 9208), the root
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT, the mailbox
    GetQuotaRoot(String),
    /// SETQUOTA
    SetQuota,
    /// SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314)
    Acl(Acl),
    /// NOTIFY (RFC 5465)
    Notify(Notify),
    /// GETMETADATA (RFC 5464)
    GetMetadata(GetMetadata),
    /// SETMETADATA
    SetMetadata(SetMetadata),
    /// UIDBATCHES (RFC 10022)
    UidBatches(UidBatches),
    /// GENURLAUTH (RFC 4467): URLs and the mechanisms, in upper case
    GenUrlAuth(Vec<(Vec<u8>, String)>),
    /// URLFETCH
    UrlFetch(Vec<UrlFetch>),
    /// RESETKEY: the mailbox, or all; and mechanisms, in upper case
    ResetKey(Option<String>, Vec<String>),
    /// REPLACE (RFC 8508), up to its message
    Replace(Replace),
}

/// The arguments of COPY and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: MessageSet,
    /// Where to.
    pub mailbox: String,
}

/// A password; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF`.
/// `None`: there is not even a tag.
pub fn command(input: &[u8], names: Names) -> Option<Tagged> {
    let mut cursor = Cursor::with_names(input, names);
    let tag = cursor.word_of(is_tag_char, "").ok()?.to_owned();
    if tag.len() > mail::limits::IMAP_TAG_LEN {
        return None;
    }
    let command = cursor.sp().and_then(|()| cursor.command());
    Some(Tagged { tag, command })
}

impl Cursor<'_> {
    fn command(&mut self) -> Result<Command, Bad> {
        let name = self.word_of(|b| b.is_ascii_alphanumeric(), "A command is missing")?.to_ascii_uppercase();
        let command = match name.as_str() {
            "UID" => {
                self.sp()?;
                let name = self.atom()?.to_ascii_uppercase();
                self.message_command(&name, true)?
            }
            name => match self.simple_command(name) {
                Some(command) => command,
                None => match self.command_of_an_extension(name)? {
                    Some(command) => command,
                    None => self.command_with_arguments(name)?,
                },
            },
        };
        if !matches!(command, Command::Append(_) | Command::Replace(_)) {
            self.crlf()?;
        }
        Ok(command)
    }

    fn simple_command(&self, name: &str) -> Option<Command> {
        Some(match name {
            "CAPABILITY" => Command::Capability,
            "NOOP" => Command::Noop,
            "LOGOUT" => Command::Logout,
            "STARTTLS" => Command::StartTls,
            "NAMESPACE" => Command::Namespace,
            "GETJMAPACCESS" => Command::GetJmapAccess,
            "IDLE" => Command::Idle,
            "CHECK" => Command::Check,
            "CLOSE" => Command::Close,
            "UNSELECT" => Command::Unselect,
            "EXPUNGE" => Command::Expunge(None),
            _ => return None,
        })
    }

    fn command_of_an_extension(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        for read in [
            Self::account_command,
            Self::metadata_command,
            Self::acl_command,
            Self::batches_command,
            Self::urlauth_command,
        ] {
            if let Some(command) = read(self, name)? {
                return Ok(Some(command));
            }
        }
        Ok(None)
    }

    fn command_with_arguments(&mut self, name: &str) -> Result<Command, Bad> {
        const KNOWN: [&str; 26] = [
            "ID",
            "AUTHENTICATE",
            "LOGIN",
            "ENABLE",
            "SELECT",
            "EXAMINE",
            "CREATE",
            "DELETE",
            "RENAME",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "LIST",
            "LSUB",
            "STATUS",
            "APPEND",
            "SEARCH",
            "FETCH",
            "STORE",
            "COPY",
            "MOVE",
            "REPLACE",
            "SORT",
            "THREAD",
            "ESEARCH",
            "NOTIFY",
            "CANCELUPDATE",
        ];
        if !KNOWN.contains(&name) {
            return Err(Bad("There is no such command"));
        }
        self.sp()?;
        Ok(match name {
            "ID" => Command::Id(self.id()?),
            "AUTHENTICATE" => self.authenticate()?,
            "LOGIN" => {
                // `login = "LOGIN" SP userid SP password`, both astring
                let user = self.astring()?.into_owned();
                self.sp()?;
                Command::Login { user, password: Secret(self.astring()?.into_owned()) }
            }
            "ENABLE" => Command::Enable(self.enable()?),
            "SELECT" | "EXAMINE" => Command::Select(self.select(name == "EXAMINE")?),
            "CREATE" => Command::Create(self.create()?),
            "DELETE" => Command::Delete(self.mailbox()?),
            "RENAME" => {
                let from = self.mailbox()?;
                self.sp()?;
                Command::Rename(from, self.mailbox()?)
            }
            "SUBSCRIBE" | "UNSUBSCRIBE" => Command::Subscribe(self.mailbox()?, name == "SUBSCRIBE"),
            "LIST" => Command::List(self.list_command()?),
            "LSUB" => Command::Lsub(self.lsub()?),
            "STATUS" => {
                let mailbox = self.mailbox()?;
                self.sp()?;
                Command::Status(mailbox, self.status_items()?)
            }
            "APPEND" => Command::Append(self.append()?),
            "ESEARCH" => Command::MultiSearch(self.multisearch()?),
            "NOTIFY" => Command::Notify(self.notify()?),
            "CANCELUPDATE" => Command::CancelUpdate(self.cancel_update()?),
            name => self.message_arguments(name, false)?,
        })
    }

    /// `uid = "UID" SP (copy / fetch / search / store)`, and EXPUNGE and MOVE by extension
    fn message_command(&mut self, name: &str, uid: bool) -> Result<Command, Bad> {
        self.sp()?;
        self.message_arguments(name, uid)
    }

    fn message_arguments(&mut self, name: &str, uid: bool) -> Result<Command, Bad> {
        Ok(match name {
            "SEARCH" => Command::Search(self.search(uid)?),
            "SORT" => Command::Sort(self.sort(uid)?),
            "THREAD" => Command::Thread(self.thread(uid)?),
            "FETCH" => Command::Fetch(self.fetch(uid)?),
            "STORE" => Command::Store(self.store(uid)?),
            "COPY" => Command::Copy(self.transfer(uid)?),
            "MOVE" => Command::Move(self.transfer(uid)?),
            "REPLACE" => Command::Replace(self.replace(uid)?),
            // RFC 4315 §2.1: `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set`
            "EXPUNGE" if uid => Command::Expunge(Some(self.message_set()?)),
            _ => return Err(Bad("There is no such command")),
        })
    }

    /// `copy = "COPY" SP sequence-set SP mailbox`
    fn transfer(&mut self, uid: bool) -> Result<Transfer, Bad> {
        let set = self.message_set()?;
        self.sp()?;
        Ok(Transfer { uid, set, mailbox: self.mailbox()? })
    }

    /// RFC 2971 §3.3: `id = "ID" SP id_params_list`, `id_params_list = "(" *(string SP nstring) ")" / nil`
    fn id(&mut self) -> Result<Vec<(String, Option<String>)>, Bad> {
        if self.take_word("NIL") {
            return Ok(Vec::new());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.list(|cursor| {
            let name = text(&cursor.string()?);
            cursor.sp()?;
            Ok((name, cursor.nstring()?.map(|value| text(&value))))
        })
    }

    /// RFC 4959 §7: `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]`
    fn authenticate(&mut self) -> Result<Command, Bad> {
        let mechanism = self.atom()?.to_ascii_uppercase();
        let initial = if self.take(b' ') && !matches!(self.peek(), Some(b'\r' | b'\n')) {
            let text = self.run(|b| b > b' ' && b < 0x7f);
            Some(if text == b"=" { Vec::new() } else { base64(text).ok_or(Bad("The response is not base64"))? })
        } else {
            None
        };
        Ok(Command::Authenticate { mechanism, initial })
    }

    /// RFC 5267 §5: `"CANCELUPDATE" 1*(SP quoted)`
    fn cancel_update(&mut self) -> Result<Vec<String>, Bad> {
        let mut tags = Vec::new();
        loop {
            tags.push(String::from_utf8_lossy(&self.quoted()?).into_owned());
            if !self.take(b' ') {
                return Ok(tags);
            }
        }
    }

    /// RFC 5161 §4: `enable = "ENABLE" 1*(SP capability)`
    fn enable(&mut self) -> Result<Vec<String>, Bad> {
        let mut names = vec![self.atom()?.to_ascii_uppercase()];
        while self.take(b' ') && !matches!(self.peek(), Some(b'\r' | b'\n')) {
            names.push(self.atom()?.to_ascii_uppercase());
            if names.len() > mail::limits::IMAP_ITEMS {
                return Err(Bad("There are too many capabilities"));
            }
        }
        Ok(names)
    }
}

/// `base64`, as a line of AUTHENTICATE has it.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::super::sequence::SequenceSet;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Command, Bad> {
        command(text.as_bytes(), Names::Modified).unwrap().command
    }

    #[test]
    fn commands_of_clients() {
        assert_eq!(read("a noop\r\n"), Ok(Command::Noop));
        assert_eq!(read("1F UNSELECT\r\n"), Ok(Command::Unselect));
        assert_eq!(read("a NOOP x\r\n"), Err(Bad("There is more than the command takes")));
        assert_eq!(read("a XYZZY\r\n"), Err(Bad("There is no such command")));
        assert_eq!(read("a\r\n"), Err(Bad("A space is missing")));
        assert!(command(b"\r\n", Names::Modified).is_none());
        assert!(command(b"* OK\r\n", Names::Modified).is_none());
        let login = Command::Login { user: b"a".to_vec(), password: Secret(b"p \"".to_vec()) };
        assert_eq!(read("a LOGIN a \"p \\\"\"\r\n"), Ok(login.clone()));
        assert_eq!(read("a login {1}\r\na {3+}\r\np \"\r\n"), Ok(login));
        assert_eq!(
            read("a AUTHENTICATE plain =\r\n"),
            Ok(Command::Authenticate { mechanism: "PLAIN".into(), initial: Some(vec![]) })
        );
        assert_eq!(read("a ID (\"name\" NIL)\r\n"), Ok(Command::Id(vec![("name".into(), None)])));
        assert_eq!(
            read("a UID EXPUNGE 1:3\r\n").unwrap(),
            Command::Expunge(Some(MessageSet::Numbers(SequenceSet(vec![(Some(1), Some(3))]))))
        );
        assert!(read("a UID NOOP\r\n").is_err());
        assert_eq!(read("a cancelupdate \"A1\" \"b\"\r\n"), Ok(Command::CancelUpdate(vec!["A1".into(), "b".into()])));
        assert_eq!(read("a CANCELUPDATE A1\r\n"), Err(Bad("A quoted string is missing")));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = command(&bytes, Names::Modified);
            let _ = command(&bytes, Names::Utf8);
        }

        #[test]
        fn never_panics_near_the_grammar(
            words in proptest::collection::vec(proptest::sample::select(vec![
                "a", " ", "UID", "FETCH", "STORE", "SEARCH", "LIST", "STATUS", "APPEND", "SELECT", "CREATE", "(", ")", "\"", "1:*",
                "BODY", "[", "]", "<", "0.1", ">", "HEADER.FIELDS", "{1}\r\nx", "{9}\r\n", "\\Seen", "OR", "NOT", "CHARSET",
                "RETURN", "UNCHANGEDSINCE", "*", "%", "&", "\r\n", "+FLAGS", "CHANGEDSINCE", "1-Jan-2020", "MODSEQ", "USE",
                "$", "VANISHED", "QRESYNC", "PARTIAL", "-1:-2", "REPLACE", "BINARY", "BINARY.SIZE", "PREVIEW", "LAZY", "UTF8", "~{1+}\r\nx",
                "SAVE", "MAILBOXID", "SORT", "THREAD", "REFERENCES", "REVERSE", "DATE", "US-ASCII",
                "NOTIFY", "SET", "selected", "(MessageNew", "MessageExpunge)", "personal", "SETACL", "lrs", "anyone",
                "GETMETADATA", "SETMETADATA", "MAXSIZE", "DEPTH", "infinity", "/private/a", "/shared", "NIL", "METADATA",
                "UPDATE", "CONTEXT", "CANCELUPDATE",
                "UIDBATCHES", "500",
                "GENURLAUTH", "URLFETCH", "RESETKEY", "INTERNAL", "/a/;UID=1",
            ]), 0..24)
        ) {
            let _ = command(words.concat().as_bytes(), Names::Modified);
        }
    }
}
