//! From commands that are well written to a script that means something: names, arguments, extensions.
//!
//! With `ihave` (RFC 5463 §4) what is unknown may stand where it is never met: there it becomes an error of the run.

mod args;
mod commands;
mod conditions;

use std::fmt::Display;

pub(crate) use args::is_field_name;

use crate::capability;
use crate::lexer::{CompileError, Position};
use crate::parse::{self, Command, Value};
use crate::script::{Command as Meant, Name, Script, Statement};
use crate::text::{self, Text};

pub(crate) struct Compiler {
    requires: Vec<String>,
}

/// Compiles a script.
pub(crate) fn compile(script: &str) -> Result<Script, CompileError> {
    let commands = parse::script(script)?;
    let mut compiler = Compiler { requires: Vec::new() };
    // RFC 5228 §3.2: require comes first.
    let first = commands.iter().position(|command| command.call.name != "require").unwrap_or(commands.len());
    for command in &commands[..first] {
        compiler.require(command)?;
    }
    let commands = compiler.block(&commands[first..])?;
    Ok(Script { commands, requires: compiler.requires })
}

impl Compiler {
    fn require(&mut self, command: &Command) -> Result<(), CompileError> {
        let call = &command.call;
        let wrong = || CompileError::new(call.at, "require takes one string, or a list of strings, and a semicolon");
        let [parse::Argument { value: Value::Texts(names), .. }] = call.arguments.as_slice() else {
            return Err(wrong());
        };
        if command.block.is_some() || !call.tests.is_empty() {
            return Err(wrong());
        }
        for (at, name) in names {
            if !capability::is_known(name) {
                return Err(CompileError::new(*at, format!("this server does not know the extension {name:?}")));
            }
            self.requires.push(name.clone());
        }
        Ok(())
    }

    pub(crate) fn has(&self, extension: &str) -> bool {
        let has = |name: &str| self.requires.iter().any(|one| one == name);
        has(extension)
            // RFC 5235 §3.1, RFC 6131 §2: the one is part of the other.
            || extension == "spamtest" && has("spamtestplus")
            || extension == "vacation" && has("vacation-seconds")
    }

    /// An extension that something belongs to.
    fn need(&self, extension: &str, at: Position, what: impl Display) -> Result<(), CompileError> {
        match self.has(extension) {
            true => Ok(()),
            false => {
                Err(CompileError::new(at, format!("{what} needs require \"{extension}\" at the top of the script")))
            }
        }
    }

    fn text(&self, text: &str, at: Position) -> Result<Text, CompileError> {
        let decoded;
        let text = match self.has("encoded-character") {
            true => {
                decoded = text::decode_characters(text, at)?;
                &decoded
            }
            false => text,
        };
        match self.has("variables") {
            true => text::with_variables(text, at, self.has("include")),
            false => Ok(text.to_owned().into()),
        }
    }

    fn variable(&self, name: &str, at: Position) -> Result<Option<Name>, CompileError> {
        self.need("variables", at, "a variable")?;
        text::variable(name, at, self.has("include"))
    }

    fn block(&mut self, commands: &[Command]) -> Result<Vec<Statement>, CompileError> {
        let mut block = Vec::new();
        let mut rest = commands.iter().peekable();
        while let Some(command) = rest.next() {
            let at = command.call.at;
            let compiled = match command.call.name.as_str() {
                "if" => {
                    let mut branches = vec![(self.condition(command)?, self.inner(command)?)];
                    while let Some(next) = rest.next_if(|next| next.call.name == "elsif") {
                        branches.push((self.condition(next)?, self.inner(next)?));
                    }
                    let otherwise = match rest.next_if(|next| next.call.name == "else") {
                        Some(next) if next.call.tests.is_empty() && next.call.arguments.is_empty() => {
                            self.inner(next)?
                        }
                        Some(next) => return Err(CompileError::new(next.call.at, "“else” has no test, only a block")),
                        None => Vec::new(),
                    };
                    Ok(Meant::If(branches, otherwise))
                }
                "elsif" | "else" => {
                    let words = format!("“{}” without an “if” before it", command.call.name);
                    return Err(CompileError::new(at, words));
                }
                "require" => {
                    return Err(CompileError::new(at, "“require” stands at the top, before all other commands"));
                }
                _ => commands::command(self, command),
            };
            block.push(Statement { at, command: self.or_later(compiled, Meant::Unknown)? });
        }
        Ok(block)
    }

    /// A mistake, or, with `ihave`, one that is made only if it is met.
    fn or_later<T>(
        &self,
        compiled: Result<T, CompileError>,
        later: impl FnOnce(String) -> T,
    ) -> Result<T, CompileError> {
        match compiled {
            Err(why) if self.has("ihave") => Ok(later(why.message)),
            compiled => compiled,
        }
    }

    fn condition(&mut self, command: &Command) -> Result<crate::script::Test, CompileError> {
        let call = &command.call;
        match (call.arguments.first(), call.tests.as_slice()) {
            (None, [test]) if !call.is_list => self.test(test),
            (None, _) => {
                Err(CompileError::new(call.at, format!("“{}” has one test (“allof” or “anyof” for more)", call.name)))
            }
            (Some(argument), _) => {
                Err(CompileError::new(argument.at, format!("a test is expected after “{}”", call.name)))
            }
        }
    }

    fn inner(&mut self, command: &Command) -> Result<Vec<Statement>, CompileError> {
        match &command.block {
            Some(block) => self.block(block),
            None => Err(CompileError::new(command.call.at, format!("“{}” has a block in braces", command.call.name))),
        }
    }
}
