//! Tests.

use mail::limits;

use super::Compiler;
use super::args::{Args, Shared};
use crate::compare::MatchType;
use crate::lexer::CompileError;
use crate::parse::Call;
use crate::script::{BodyPart, Duplicate, Test, TestKind, Zone};

/// Parts of a date (RFC 5260 §4.2).
const DATE_PARTS: [&str; 13] = [
    "year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday",
];

impl Compiler {
    pub(super) fn test(&mut self, call: &Call) -> Result<Test, CompileError> {
        let kind = self.kind(call);
        Ok(Test { at: call.at, kind: self.or_later(kind, TestKind::Unknown)? })
    }

    fn tests(&mut self, call: &Call) -> Result<Vec<Test>, CompileError> {
        if call.tests.is_empty() || !call.is_list {
            return Err(CompileError::new(call.at, format!("“{}” has a list of tests in parentheses", call.name)));
        }
        call.tests.iter().map(|test| self.test(test)).collect()
    }

    fn kind(&mut self, call: &Call) -> Result<TestKind, CompileError> {
        let mut args = Args::of(call);
        let kind = match call.name.as_str() {
            "allof" => return Ok(TestKind::AllOf(self.tests(call)?)),
            "anyof" => return Ok(TestKind::AnyOf(self.tests(call)?)),
            "not" => match call.tests.as_slice() {
                [test] if !call.is_list => return Ok(TestKind::Not(Box::new(self.test(test)?))),
                _ => return Err(CompileError::new(call.at, "“not” has one test")),
            },
            _ => self.simple(&call.name, &mut args)?,
        };
        if let Some(test) = call.tests.first() {
            return Err(CompileError::new(test.at, format!("“{}” takes no test", call.name)));
        }
        args.end()?;
        Ok(kind)
    }

    /// A test without tests in it.
    fn simple(&mut self, name: &str, args: &mut Args) -> Result<TestKind, CompileError> {
        let extension = match name {
            "true" | "false" | "exists" | "size" | "header" | "address" => None,
            "envelope" => Some("envelope"),
            "body" => Some("body"),
            "string" => Some("variables"),
            "date" | "currentdate" => Some("date"),
            "hasflag" => Some("imap4flags"),
            "mailboxexists" => Some("mailbox"),
            "specialuse_exists" => Some("special-use"),
            "duplicate" => Some("duplicate"),
            "environment" => Some("environment"),
            "ihave" => Some("ihave"),
            "valid_notify_method" | "notify_method_capability" => Some("enotify"),
            "spamtest" => Some("spamtest"),
            "virustest" => Some("virustest"),
            _ => return Err(CompileError::new(args.at, format!("there is no test “{name}”"))),
        };
        if let Some(extension) = extension {
            self.need(extension, args.at, format_args!("“{name}”"))?;
        }
        match name {
            "true" => Ok(TestKind::True),
            "false" => Ok(TestKind::False),
            "exists" => Ok(TestKind::Exists(args.fields(self)?)),
            "size" => size(args),
            "header" => {
                let shared = args.shared(self, false, true)?;
                let (index, matching) = (shared.index(), args.matching(&shared)?);
                Ok(TestKind::Header { index, matching, names: args.fields(self)?, keys: args.texts(self, "the keys")? })
            }
            "address" => {
                let shared = args.shared(self, true, true)?;
                let (index, part, matching) = (shared.index(), shared.part(), args.matching(&shared)?);
                let (names, keys) = (args.fields(self)?, args.texts(self, "the keys")?);
                Ok(TestKind::Address { index, part, matching, names, keys })
            }
            "envelope" => self.envelope(args),
            "body" => self.body(args),
            "string" => {
                let shared = args.shared(self, false, false)?;
                let matching = args.matching(&shared)?;
                let (sources, keys) = (args.texts(self, "what is compared")?, args.texts(self, "the keys")?);
                Ok(TestKind::Text { matching, sources, keys })
            }
            "date" | "currentdate" => self.date(name == "date", args),
            "hasflag" => {
                let shared = args.shared(self, false, false)?;
                let matching = args.matching(&shared)?;
                let variables = if args.left() > 1 { args.variables(self)? } else { Vec::new() };
                Ok(TestKind::HasFlag { matching, variables, keys: args.texts(self, "the flags")? })
            }
            "mailboxexists" => Ok(TestKind::MailboxExists(args.texts(self, "the mailboxes")?)),
            "specialuse_exists" => {
                let mailbox = if args.left() > 1 { Some(args.text(self, "the mailbox")?) } else { None };
                Ok(TestKind::SpecialUseExists { mailbox, uses: args.texts(self, "the special uses")? })
            }
            "duplicate" => self.duplicate(args),
            "environment" => {
                let shared = args.shared(self, false, false)?;
                let matching = args.matching(&shared)?;
                let (item, keys) = (args.text(self, "the name of an item")?, args.texts(self, "the keys")?);
                Ok(TestKind::Environment { matching, item, keys })
            }
            "ihave" => self.ihave(args),
            "valid_notify_method" => Ok(TestKind::ValidNotify(args.texts(self, "the URIs")?)),
            "notify_method_capability" => {
                let shared = args.shared(self, false, false)?;
                let matching = args.matching(&shared)?;
                let (uri, capability) = (args.text(self, "the URI")?, args.text(self, "the capability")?);
                Ok(TestKind::NotifyCapability { matching, uri, capability, keys: args.texts(self, "the keys")? })
            }
            _ => self.verdict(name, args),
        }
    }

    fn envelope(&self, args: &mut Args) -> Result<TestKind, CompileError> {
        let shared = args.shared(self, true, false)?;
        let (part, matching) = (shared.part(), args.matching(&shared)?);
        let mut names = Vec::new();
        for (at, name) in args.constants(self, "the part of the envelope")? {
            let name = name.to_ascii_lowercase();
            if !["from", "to", "auth"].contains(&name.as_str()) {
                return args.fail(at, format_args!("an envelope has \"from\", \"to\" and \"auth\", no {name:?}"));
            }
            names.push(name);
        }
        Ok(TestKind::Envelope { part, matching, names, keys: args.texts(self, "the keys")? })
    }

    fn body(&self, args: &mut Args) -> Result<TestKind, CompileError> {
        // RFC 5173 §5.3: text is the default.
        let (mut shared, mut part) = (Shared::default(), BodyPart::Text);
        while let Some((tag, at)) = args.tag() {
            match tag.as_str() {
                "raw" => part = BodyPart::Raw,
                "text" => part = BodyPart::Text,
                "content" => part = BodyPart::Content(args.texts(self, "the types")?),
                _ if args.share(self, &mut shared, (&tag, at), false, false)? => {}
                _ => return args.unknown_tag(&tag, at),
            }
        }
        let matching = args.matching(&shared)?;
        Ok(TestKind::Body { part, matching, keys: args.texts(self, "the keys")? })
    }

    fn date(&self, has_field: bool, args: &mut Args) -> Result<TestKind, CompileError> {
        let (mut shared, mut zone) = (Shared::default(), Zone::Given(None));
        while let Some((tag, at)) = args.tag() {
            match tag.as_str() {
                "zone" => {
                    let (at, text) = args.constant(self, "the zone")?;
                    let Some(offset) = crate::run::zone(&text) else {
                        return args.fail(at, format_args!("a zone is written \"+0100\", not {text:?}"));
                    };
                    zone = Zone::Given(Some(offset));
                }
                "originalzone" if has_field => zone = Zone::Original,
                _ if args.share(self, &mut shared, (&tag, at), false, has_field)? => {}
                _ => return args.unknown_tag(&tag, at),
            }
        }
        let (index, matching) = (shared.index(), args.matching(&shared)?);
        let field = match has_field {
            true => {
                let mut names = args.fields(self)?;
                if names.len() != 1 {
                    return args.fail(args.at, "it takes one name of a header field");
                }
                Some(names.remove(0))
            }
            false => None,
        };
        let (at, part) = args.constant(self, "the part of the date")?;
        let part = part.to_ascii_lowercase();
        if !DATE_PARTS.contains(&part.as_str()) {
            return args.fail(at, format_args!("{part:?} is no part of a date: {}", DATE_PARTS.join(", ")));
        }
        Ok(TestKind::Date { index, zone, matching, field, part, keys: args.texts(self, "the keys")? })
    }

    fn duplicate(&self, args: &mut Args) -> Result<TestKind, CompileError> {
        // RFC 7352 §3.1: seven days are the default.
        let mut duplicate = Duplicate { header: None, unique: None, handle: None, seconds: 7 * 86_400, last: false };
        while let Some((tag, at)) = args.tag() {
            match tag.as_str() {
                "handle" => duplicate.handle = Some(args.text(self, "the handle")?),
                "header" => duplicate.header = Some(args.text(self, "the name of a header field")?),
                "uniqueid" => duplicate.unique = Some(args.text(self, "the mark")?),
                "seconds" => duplicate.seconds = args.number("the number of seconds")?,
                "last" => duplicate.last = true,
                _ => return args.unknown_tag(&tag, at),
            }
        }
        if duplicate.header.is_some() && duplicate.unique.is_some() {
            return args.fail(args.at, "“:header” and “:uniqueid” contradict each other");
        }
        duplicate.seconds = duplicate.seconds.min(limits::SIEVE_REMEMBERED.as_secs());
        Ok(TestKind::Duplicate(Box::new(duplicate)))
    }

    /// RFC 5463 §4: what is there may be used from here on as if it had been required.
    fn ihave(&mut self, args: &mut Args) -> Result<TestKind, CompileError> {
        let names: Vec<String> = args.constants(self, "the extensions")?.into_iter().map(|(_, name)| name).collect();
        if names.iter().all(|name| crate::capability::is_known(name)) {
            self.requires.extend(names.iter().cloned());
        }
        Ok(TestKind::IHave(names))
    }

    /// RFC 5235: numbers, though they are written as strings.
    fn verdict(&self, name: &str, args: &mut Args) -> Result<TestKind, CompileError> {
        let (mut shared, mut percent) = (Shared::default(), false);
        while let Some((tag, at)) = args.tag() {
            match tag.as_str() {
                "percent" if name == "spamtest" => {
                    self.need("spamtestplus", at, "“:percent”")?;
                    percent = true;
                }
                _ if args.share(self, &mut shared, (&tag, at), false, false)? => {}
                _ => return args.unknown_tag(&tag, at),
            }
        }
        let matching = args.matching(&shared)?;
        if matches!(matching.kind, MatchType::Contains | MatchType::Matches) {
            return args.fail(args.at, "a number neither contains nor matches anything");
        }
        let key = args.text(self, "the number, as a string")?;
        Ok(if name == "spamtest" {
            TestKind::Spam { percent, matching, key }
        } else {
            TestKind::Virus { matching, key }
        })
    }
}

fn size(args: &mut Args) -> Result<TestKind, CompileError> {
    match args.tag() {
        Some((tag, _)) if tag == "over" || tag == "under" => {
            Ok(TestKind::Size { over: tag == "over", limit: args.number("the size")? })
        }
        Some((tag, at)) => args.unknown_tag(&tag, at),
        None => args.fail(args.at, "“:over” or “:under” is missing"),
    }
}
