//! The one grammar of all commands and tests (RFC 5228 §8.2); what they are called and mean is for [`crate::compile`].

use mail::limits;

use crate::lexer::{CompileError, Lexer, Position, Token};

/// `command = identifier arguments (";" / block)`
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) call: Call,
    pub(crate) block: Option<Vec<Command>>,
}

/// What a command and a test have in common: a name, arguments, tests.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) at: Position,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) tests: Vec<Call>,
    /// The tests stood in parentheses.
    pub(crate) is_list: bool,
}

/// `argument = string-list / number / tag`
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Tag(String),
    Number(u64),
    Texts(Vec<(Position, String)>),
}

/// The commands of a script.
pub(crate) fn script(text: &str) -> Result<Vec<Command>, CompileError> {
    if text.len() > limits::SIEVE_SCRIPT_LEN {
        let words = format!("the script is too long: {} octets at most", limits::SIEVE_SCRIPT_LEN);
        return Err(CompileError::new(Position { line: 1, column: 1 }, words));
    }
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next()?;
    let mut parser = Parser { lexer, token, at, depth: 0 };
    let mut commands = Vec::new();
    while parser.token != Token::End {
        commands.push(parser.command()?);
    }
    Ok(commands)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    at: Position,
    /// Blocks and tests around this place.
    depth: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, CompileError> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }

    fn deeper(&mut self) -> Result<(), CompileError> {
        self.depth += 1;
        if self.depth > limits::SIEVE_NESTING {
            let words = format!("blocks and tests are nested too deeply: {} at most", limits::SIEVE_NESTING);
            return Err(CompileError::new(self.at, words));
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, CompileError> {
        let call = self.call("a command")?;
        if self.is(';') {
            self.advance()?;
            return Ok(Command { call, block: None });
        }
        if !self.is('{') {
            let words = format!("a semicolon or a block is missing after “{}”; here is {}", call.name, self.token);
            return Err(CompileError::new(self.at, words));
        }
        let opened = self.at;
        self.deeper()?;
        self.advance()?;
        let mut block = Vec::new();
        while !self.is('}') {
            if self.token == Token::End {
                return Err(CompileError::new(opened, "this block has no end (“}”)"));
            }
            block.push(self.command()?);
        }
        self.advance()?;
        self.depth -= 1;
        Ok(Command { call, block: Some(block) })
    }

    fn call(&mut self, expected: &str) -> Result<Call, CompileError> {
        let at = self.at;
        let Token::Identifier(name) = self.token.clone() else {
            return Err(CompileError::new(at, format!("{expected} is expected here, not {}", self.token)));
        };
        self.advance()?;
        let mut call = Call { name, at, arguments: Vec::new(), tests: Vec::new(), is_list: false };
        while let Some(argument) = self.argument()? {
            call.arguments.push(argument);
        }
        match self.token {
            Token::Mark('(') => {
                self.deeper()?;
                call.is_list = true;
                loop {
                    self.advance()?;
                    call.tests.push(self.call("a test")?);
                    match self.token {
                        Token::Mark(',') => {}
                        Token::Mark(')') => break,
                        _ => {
                            let words =
                                format!("a list of tests goes on with “,” or ends with “)”; here is {}", self.token);
                            return Err(CompileError::new(self.at, words));
                        }
                    }
                }
                self.advance()?;
                self.depth -= 1;
            }
            Token::Identifier(_) => {
                self.deeper()?;
                let test = self.call("a test")?;
                call.tests.push(test);
                self.depth -= 1;
            }
            _ => {}
        }
        Ok(call)
    }

    fn argument(&mut self) -> Result<Option<Argument>, CompileError> {
        let at = self.at;
        let value = match self.token.clone() {
            Token::Tag(name) => Value::Tag(name),
            Token::Number(number) => Value::Number(number),
            Token::Text(text) => Value::Texts(vec![(at, text)]),
            Token::Mark('[') => Value::Texts(self.texts()?),
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(Argument { at, value }))
    }

    /// `string-list`, to its closing bracket, which is left. RFC 5228 §2.4.2.1 knows no empty one; it harms nobody.
    fn texts(&mut self) -> Result<Vec<(Position, String)>, CompileError> {
        let mut texts = Vec::new();
        self.advance()?;
        if self.is(']') {
            return Ok(texts);
        }
        loop {
            let at = self.at;
            match self.advance()? {
                Token::Text(text) => texts.push((at, text)),
                other => return Err(CompileError::new(at, format!("a list holds strings, not {other}"))),
            }
            match self.token {
                Token::Mark(']') => return Ok(texts),
                Token::Mark(',') => {
                    self.advance()?;
                }
                _ => {
                    let words = format!("a list of strings goes on with “,” or ends with “]”; here is {}", self.token);
                    return Err(CompileError::new(self.at, words));
                }
            }
        }
    }
}
