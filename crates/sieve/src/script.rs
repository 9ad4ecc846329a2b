//! A script that was understood.

use std::fmt;

use crate::compare::Matching;
use crate::lexer::{CompileError, Position};
use crate::text::Text;

/// A compiled script: every name in it is known, every argument is of the right kind.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) commands: Vec<Statement>,
    pub(crate) requires: Vec<String>,
}

impl Script {
    /// Compiles a script.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        crate::compile::compile(text)
    }

    /// Whether it requires an extension.
    pub fn requires(&self, extension: &str) -> bool {
        self.requires.iter().any(|one| one == extension)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) at: Position,
    pub(crate) command: Command,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Each test with its block, and the block of `else`.
    If(Vec<(Test, Vec<Statement>)>, Vec<Statement>),
    Stop,
    Keep {
        flags: Option<Vec<Text>>,
    },
    Discard,
    FileInto {
        mailbox: Text,
        copy: bool,
        create: bool,
        flags: Option<Vec<Text>>,
        special_use: Option<Text>,
    },
    Redirect {
        to: Text,
        copy: bool,
    },
    Reject {
        reason: Text,
    },
    Set {
        name: Name,
        modifiers: Vec<Modifier>,
        value: Text,
    },
    Flags {
        how: FlagChange,
        variable: Option<Name>,
        flags: Vec<Text>,
    },
    Vacation(Box<Vacation>),
    Notify(Box<Notify>),
    AddHeader {
        last: bool,
        name: Text,
        value: Text,
    },
    DeleteHeader {
        index: Index,
        matching: Matching,
        name: Text,
        values: Vec<Text>,
    },
    Include {
        location: Location,
        once: bool,
        optional: bool,
        name: String,
    },
    Return,
    Global(Vec<String>),
    Error(Text),
    /// Something that `ihave` may have kept from being met (RFC 5463 §4); met, it is an error.
    Unknown(String),
}

/// Where an included script is (RFC 6609 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// The account's own.
    Personal,
    /// The administrator's.
    Global,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Personal => "personal",
            Self::Global => "global",
        })
    }
}

/// A variable's name, in lower case (RFC 5229 §3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Local(String),
    /// `global.` (RFC 6609 §3.4.2).
    Global(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Modifier {
    // In the order in which they are applied: the highest precedence first (RFC 5229 §4.1, RFC 5435 §6).
    Lower,
    Upper,
    LowerFirst,
    UpperFirst,
    QuoteWildcard,
    EncodeUrl,
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlagChange {
    Set,
    Add,
    Remove,
}

#[derive(Clone, Debug)]
pub(crate) struct Vacation {
    pub(crate) seconds: u64,
    pub(crate) subject: Option<Text>,
    pub(crate) from: Option<Text>,
    pub(crate) addresses: Vec<Text>,
    pub(crate) mime: bool,
    pub(crate) handle: Option<Text>,
    pub(crate) reason: Text,
}

#[derive(Clone, Debug)]
pub(crate) struct Notify {
    pub(crate) from: Option<Text>,
    pub(crate) importance: Option<Text>,
    pub(crate) message: Option<Text>,
    pub(crate) method: Text,
}

/// Which of several fields (RFC 5260 §6): counted from 1, from the end with `:last`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Index {
    pub(crate) number: Option<u64>,
    pub(crate) last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressPart {
    All,
    LocalPart,
    Domain,
    User,
    Detail,
}

/// What of the body is looked at (RFC 5173 §5).
#[derive(Clone, Debug)]
pub(crate) enum BodyPart {
    Raw,
    Text,
    Content(Vec<Text>),
}

#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Minutes east; `None`: the server's.
    Given(Option<i16>),
    Original,
}

#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) at: Position,
    pub(crate) kind: TestKind,
}

#[derive(Clone, Debug)]
pub(crate) enum TestKind {
    True,
    False,
    Not(Box<Test>),
    AllOf(Vec<Test>),
    AnyOf(Vec<Test>),
    Size {
        over: bool,
        limit: u64,
    },
    Exists(Vec<Text>),
    Header {
        index: Index,
        matching: Matching,
        names: Vec<Text>,
        keys: Vec<Text>,
    },
    Address {
        index: Index,
        part: AddressPart,
        matching: Matching,
        names: Vec<Text>,
        keys: Vec<Text>,
    },
    Envelope {
        part: AddressPart,
        matching: Matching,
        names: Vec<String>,
        keys: Vec<Text>,
    },
    Body {
        part: BodyPart,
        matching: Matching,
        keys: Vec<Text>,
    },
    Text {
        matching: Matching,
        sources: Vec<Text>,
        keys: Vec<Text>,
    },
    /// `field`: none for `currentdate`.
    Date {
        index: Index,
        zone: Zone,
        matching: Matching,
        field: Option<Text>,
        part: String,
        keys: Vec<Text>,
    },
    HasFlag {
        matching: Matching,
        variables: Vec<Name>,
        keys: Vec<Text>,
    },
    MailboxExists(Vec<Text>),
    SpecialUseExists {
        mailbox: Option<Text>,
        uses: Vec<Text>,
    },
    Duplicate(Box<Duplicate>),
    Environment {
        matching: Matching,
        item: Text,
        keys: Vec<Text>,
    },
    IHave(Vec<String>),
    ValidNotify(Vec<Text>),
    NotifyCapability {
        matching: Matching,
        uri: Text,
        capability: Text,
        keys: Vec<Text>,
    },
    Spam {
        percent: bool,
        matching: Matching,
        key: Text,
    },
    Virus {
        matching: Matching,
        key: Text,
    },
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Duplicate {
    pub(crate) header: Option<Text>,
    pub(crate) unique: Option<Text>,
    pub(crate) handle: Option<Text>,
    pub(crate) seconds: u64,
    pub(crate) last: bool,
}
