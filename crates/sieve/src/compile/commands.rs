//! Commands but for `if` and `require`.

use mail::limits;

use super::Compiler;
use super::args::Args;
use crate::lexer::CompileError;
use crate::parse;
use crate::script::{Command, FlagChange, Location, Modifier, Notify, Vacation};
use crate::text::{Text, is_identifier};
use crate::uri::Mailto;

const DAY: u64 = 86_400;

pub(super) fn command(compiler: &mut Compiler, command: &parse::Command) -> Result<Command, CompileError> {
    let call = &command.call;
    let mut args = Args::of(call);
    let extension = match call.name.as_str() {
        "stop" | "keep" | "discard" | "redirect" => None,
        "fileinto" => Some("fileinto"),
        "reject" => Some("reject"),
        "ereject" => Some("ereject"),
        "set" => Some("variables"),
        "setflag" | "addflag" | "removeflag" => Some("imap4flags"),
        "vacation" => Some("vacation"),
        "notify" => Some("enotify"),
        "addheader" | "deleteheader" => Some("editheader"),
        "include" | "return" | "global" => Some("include"),
        "error" => Some("ihave"),
        _ => return Err(CompileError::new(call.at, format!("there is no command “{}”", call.name))),
    };
    if let Some(extension) = extension {
        compiler.need(extension, call.at, format_args!("“{}”", call.name))?;
    }
    if let Some(test) = call.tests.first() {
        return Err(CompileError::new(test.at, format!("“{}” takes no test", call.name)));
    }
    if command.block.is_some() {
        return Err(CompileError::new(call.at, format!("“{}” ends with a semicolon and takes no block", call.name)));
    }
    let compiled = match call.name.as_str() {
        "stop" => Command::Stop,
        "discard" => Command::Discard,
        "return" => Command::Return,
        "keep" => keep(compiler, &mut args)?,
        "fileinto" => file_into(compiler, &mut args)?,
        "redirect" => redirect(compiler, &mut args)?,
        "reject" | "ereject" => Command::Reject { reason: args.text(compiler, "the reason")? },
        "set" => set(compiler, &mut args)?,
        "setflag" => flags(compiler, &mut args, FlagChange::Set)?,
        "addflag" => flags(compiler, &mut args, FlagChange::Add)?,
        "removeflag" => flags(compiler, &mut args, FlagChange::Remove)?,
        "vacation" => vacation(compiler, &mut args)?,
        "notify" => notify(compiler, &mut args)?,
        "addheader" => add_header(compiler, &mut args)?,
        "deleteheader" => delete_header(compiler, &mut args)?,
        "include" => include(compiler, &mut args)?,
        "global" => global(compiler, &mut args)?,
        _ => Command::Error(args.text(compiler, "the message")?),
    };
    args.end()?;
    Ok(compiled)
}

fn keep(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let mut flags = None;
    while let Some((tag, at)) = args.tag() {
        match tag.as_str() {
            "flags" => {
                compiler.need("imap4flags", at, "“:flags”")?;
                flags = Some(args.texts(compiler, "the flags")?);
            }
            _ => return args.unknown_tag(&tag, at),
        }
    }
    Ok(Command::Keep { flags })
}

fn file_into(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let (mut copy, mut create, mut flags, mut special_use) = (false, false, None, None);
    while let Some((tag, at)) = args.tag() {
        // RFC 3894 §3, RFC 5490 §3.2, RFC 5232 §4, RFC 8579 §4: each belongs to an extension of its own.
        let needed = match tag.as_str() {
            "copy" => "copy",
            "create" => "mailbox",
            "flags" => "imap4flags",
            "specialuse" => "special-use",
            _ => return args.unknown_tag(&tag, at),
        };
        compiler.need(needed, at, format_args!("“:{tag}”"))?;
        match tag.as_str() {
            "copy" => copy = true,
            "create" => create = true,
            "flags" => flags = Some(args.texts(compiler, "the flags")?),
            _ => special_use = Some(args.text(compiler, "the special use")?),
        }
    }
    Ok(Command::FileInto { mailbox: args.text(compiler, "the mailbox")?, copy, create, flags, special_use })
}

fn redirect(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let mut copy = false;
    while let Some((tag, at)) = args.tag() {
        if tag != "copy" {
            return args.unknown_tag(&tag, at);
        }
        compiler.need("copy", at, "“:copy”")?;
        copy = true;
    }
    let to = args.text(compiler, "the address")?;
    check_address(args, &to)?;
    Ok(Command::Redirect { to, copy })
}

/// What is constant is looked at now, so that the owner hears of it and not the journey.
fn check_address(args: &Args, address: &Text) -> Result<(), CompileError> {
    match address.constant().map(crate::run::address_in) {
        Some(Err(why)) => args.fail(args.at, why),
        _ => Ok(()),
    }
}

fn set(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let mut modifiers = Vec::new();
    while let Some((tag, at)) = args.tag() {
        let modifier = match tag.as_str() {
            "lower" => Modifier::Lower,
            "upper" => Modifier::Upper,
            "lowerfirst" => Modifier::LowerFirst,
            "upperfirst" => Modifier::UpperFirst,
            "quotewildcard" => Modifier::QuoteWildcard,
            "encodeurl" => {
                compiler.need("enotify", at, "“:encodeurl”")?;
                Modifier::EncodeUrl
            }
            "length" => Modifier::Length,
            _ => return args.unknown_tag(&tag, at),
        };
        // RFC 5229 §4.1: only one of each precedence.
        let rank = |one: Modifier| match one {
            Modifier::Lower | Modifier::Upper => 40,
            Modifier::LowerFirst | Modifier::UpperFirst => 30,
            Modifier::QuoteWildcard => 20,
            Modifier::EncodeUrl => 15,
            Modifier::Length => 10,
        };
        if modifiers.iter().any(|other| rank(*other) == rank(modifier)) {
            return args.fail(at, format_args!("“:{tag}” contradicts another tag before it"));
        }
        modifiers.push(modifier);
    }
    modifiers.sort_unstable();
    let name = args.variable(compiler)?;
    Ok(Command::Set { name, modifiers, value: args.text(compiler, "the value")? })
}

fn flags(compiler: &Compiler, args: &mut Args, how: FlagChange) -> Result<Command, CompileError> {
    // RFC 5232 §3: the variable's name may be left out.
    let variable = if args.left() > 1 { Some(args.variable(compiler)?) } else { None };
    Ok(Command::Flags { how, variable, flags: args.texts(compiler, "the flags")? })
}

fn vacation(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let mut vacation = Vacation {
        // RFC 5230 §4.1: seven days are a good default.
        seconds: limits::AWAY_AGAIN.as_secs(),
        subject: None,
        from: None,
        addresses: Vec::new(),
        mime: false,
        handle: None,
        reason: String::new().into(),
    };
    while let Some((tag, at)) = args.tag() {
        match tag.as_str() {
            // RFC 5230 §4.1: what is out of bounds is put within, not refused.
            "days" => vacation.seconds = args.number("the number of days")?.max(1).saturating_mul(DAY),
            // RFC 6131 §2.1
            "seconds" => {
                compiler.need("vacation-seconds", at, "“:seconds”")?;
                vacation.seconds = args.number("the number of seconds")?;
            }
            "subject" => vacation.subject = Some(args.text(compiler, "the subject")?),
            "from" => {
                let from = args.text(compiler, "the address")?;
                check_address(args, &from)?;
                vacation.from = Some(from);
            }
            "addresses" => vacation.addresses = args.texts(compiler, "the addresses")?,
            "mime" => vacation.mime = true,
            "handle" => vacation.handle = Some(args.text(compiler, "the handle")?),
            _ => return args.unknown_tag(&tag, at),
        }
    }
    vacation.seconds = vacation.seconds.min(limits::SIEVE_REMEMBERED.as_secs());
    vacation.reason = args.text(compiler, "the reason")?;
    Ok(Command::Vacation(Box::new(vacation)))
}

fn notify(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let (mut from, mut importance, mut message) = (None, None, None);
    while let Some((tag, at)) = args.tag() {
        match tag.as_str() {
            "from" => {
                let text = args.text(compiler, "the address")?;
                check_address(args, &text)?;
                from = Some(text);
            }
            "importance" => {
                let text = args.text(compiler, "the importance")?;
                if text.constant().is_some_and(|text| !["1", "2", "3"].contains(&text)) {
                    return args.fail(at, "the importance is \"1\" (high), \"2\" or \"3\" (low)");
                }
                importance = Some(text);
            }
            // RFC 5435 §3.5: options are the method's; mailto has none (RFC 5436 §2.5).
            "options" => {
                args.texts(compiler, "the options")?;
            }
            "message" => message = Some(args.text(compiler, "the message")?),
            _ => return args.unknown_tag(&tag, at),
        }
    }
    let method = args.text(compiler, "where the notice goes (\"mailto:…\")")?;
    if let Some(Err(why)) = method.constant().map(Mailto::parse) {
        return args.fail(args.at, why);
    }
    Ok(Command::Notify(Box::new(Notify { from, importance, message, method })))
}

fn add_header(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let mut last = false;
    while let Some((tag, at)) = args.tag() {
        if tag != "last" {
            return args.unknown_tag(&tag, at);
        }
        last = true;
    }
    let mut names = args.fields(compiler)?;
    if names.len() != 1 {
        return args.fail(args.at, "it takes one name of a header field");
    }
    Ok(Command::AddHeader { last, name: names.remove(0), value: args.text(compiler, "the value")? })
}

fn delete_header(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    // RFC 5293 §5: its :index and :last are its own.
    let (mut shared, mut index) = (super::args::Shared::default(), crate::script::Index::default());
    while let Some((tag, at)) = args.tag() {
        match tag.as_str() {
            "index" => index.number = Some(args.number("the number of the field")?.max(1)),
            "last" => index.last = true,
            _ if args.share(compiler, &mut shared, (&tag, at), false, false)? => {}
            _ => return args.unknown_tag(&tag, at),
        }
    }
    if index.last && index.number.is_none() {
        return args.fail(args.at, "“:last” needs “:index”");
    }
    let matching = args.matching(&shared)?;
    let mut names = args.fields(compiler)?;
    if names.len() != 1 {
        return args.fail(args.at, "it takes one name of a header field");
    }
    let values = if args.left() > 0 { args.texts(compiler, "the values")? } else { Vec::new() };
    Ok(Command::DeleteHeader { index, matching, name: names.remove(0), values })
}

fn include(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    let (mut location, mut once, mut optional) = (Location::Personal, false, false);
    while let Some((tag, at)) = args.tag() {
        match tag.as_str() {
            "personal" => location = Location::Personal,
            "global" => location = Location::Global,
            "once" => once = true,
            "optional" => optional = true,
            _ => return args.unknown_tag(&tag, at),
        }
    }
    // RFC 6609 §3.2: the name is constant.
    let (_, name) = args.constant(compiler, "the name of a script")?;
    Ok(Command::Include { location, once, optional, name })
}

fn global(compiler: &Compiler, args: &mut Args) -> Result<Command, CompileError> {
    compiler.need("variables", args.at, "“global”")?;
    let names = args.constants(compiler, "the name of a variable")?;
    if let Some((at, name)) = names.iter().find(|(_, name)| !is_identifier(name)) {
        return args.fail(*at, format_args!("{name:?} can't be the name of a variable"));
    }
    Ok(Command::Global(names.into_iter().map(|(_, name)| name.to_ascii_lowercase()).collect()))
}
