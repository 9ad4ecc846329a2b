//! What each command does in each state.

use mail::{Address, BodyType, Recipient, Reply, ReversePath};

use super::burl::Burl;
use super::command::Command;
use super::engine::Server;
use super::state::{Chunk, Identity, Session, State, Transaction, Waiting};
use super::{Hello, Question, ReleaseLimits, Role, Sender, Transport, parameters};
use crate::address::ForwardPath;
use crate::sasl::Mechanism;

impl Server {
    pub(super) fn command(&mut self, state: State, command: Command<'_>) -> State {
        let is_lmtp = self.config.role == Role::Lmtp;
        match command {
            // RFC 2033 §4.1: neither is known there, so that nobody takes one protocol for the other.
            Command::Ehlo(_) | Command::Helo(_) if is_lmtp => {
                self.refuse(500, (5, 5, 1), "This is LMTP, not SMTP: say LHLO");
                state
            }
            Command::Lhlo(name) if is_lmtp => self.hello(state, name, true),
            // It is not offered there: whose chunk comes all the same must have it read.
            Command::Bdat { size, last } if is_lmtp => self.discard(
                state,
                Chunk { size, last },
                Reply::new(502, (5, 5, 1), "BDAT is not offered by LMTP here"),
            ),
            Command::Ehlo(name) => self.hello(state, name, true),
            Command::Helo(name) => self.hello(state, name, false),
            Command::Mail(path, parameters) => self.mail(state, path, parameters),
            Command::Rcpt(path, parameters) => self.rcpt(state, path, parameters),
            Command::Data => self.data(state),
            Command::Bdat { size, last } => self.bdat(state, Chunk { size, last }),
            Command::Burl { url, last } if self.config.burl => self.burl(state, Burl { url: url.to_vec(), last }),
            Command::Rset => self.rset(state),
            Command::StartTls => self.start_tls(state),
            Command::Auth { mechanism, initial } => self.auth(state, mechanism, initial),
            Command::Quit => {
                self.drop_transaction();
                self.say(&Reply::new(221, (2, 0, 0), format!("{} Bye", self.config.hostname)));
                State::Closed
            }
            Command::Http => {
                // A browser that was sent here by a page; its next lines would be that page's commands.
                self.drop_transaction();
                self.say(&Reply::new(421, (4, 7, 0), format!("{} This is no web server", self.config.hostname)));
                State::Closed
            }
            other => {
                self.simple(other);
                state
            }
        }
    }

    /// Commands that change nothing.
    fn simple(&mut self, command: Command<'_>) {
        match command {
            Command::Noop => self.say(&Reply::new(250, (2, 0, 0), "Ok")),
            // RFC 5321 §3.5.3, §7.3: names are not told; 252 says neither yes nor no.
            Command::Vrfy => self.say(&Reply::new(252, (2, 5, 0), "Cannot verify the user; mail for it is looked at")),
            Command::Expn => self.refuse(502, (5, 5, 1), "Lists are not expanded"),
            Command::Help => self.say(&Reply::new(
                214,
                (2, 0, 0),
                "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS AUTH\nSee RFC 5321",
            )),
            Command::Syntax(why) => self.refuse(501, (5, 5, 4), why),
            // RFC 3463 §3.2: X.1.7 is the sender's address, X.1.3 the recipient's.
            Command::BadSender(why) => self.refuse(501, (5, 1, 7), why.0),
            Command::BadRecipient(why) => self.refuse(501, (5, 1, 3), why.0),
            _ => self.refuse(500, (5, 5, 2), "Command not recognised"),
        }
    }

    /// RFC 5321 §4.1.4: EHLO at any time; it ends a transaction like RSET.
    fn hello(&mut self, state: State, name: &[u8], extended: bool) -> State {
        let identity = match state {
            State::Mail(session, _) | State::Ready(session) | State::Chunked(session, ..) => session.identity,
            _ => Identity::Stranger,
        };
        self.drop_transaction();
        let mut text = self.config.hostname.to_string();
        if extended {
            for keyword in self.keywords(&identity) {
                text.push('\n');
                text.push_str(&keyword);
            }
        }
        self.say(&Reply::plain(250, text));
        let name = String::from_utf8_lossy(name).into_owned();
        State::Ready(Session { hello: Hello { name, extended }, identity })
    }

    fn keywords(&self, identity: &Identity) -> Vec<String> {
        let always = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING", "BINARYMIME"];
        let mut keywords: Vec<String> = always.map(String::from).to_vec();
        if self.config.role == Role::Lmtp {
            keywords.retain(|keyword| !matches!(keyword.as_str(), "CHUNKING" | "BINARYMIME"));
        }
        keywords.push(format!("SIZE {}", self.config.message_size));
        match &self.transport {
            // RFC 3207 §4.2: not once TLS is there.
            Transport::Plain { starttls: true } => keywords.push("STARTTLS".into()),
            Transport::Plain { starttls: false } => {}
            Transport::Tls(binding) => {
                if self.config.role == Role::Submission && *identity == Identity::Stranger {
                    let names: Vec<_> = self.mechanisms(binding).into_iter().map(Mechanism::name).collect();
                    keywords.push(format!("AUTH {}", names.join(" ")));
                }
            }
        }
        // RFC 4468 §3.3: the URLs that are followed are this server's own. Who has not logged in can't use them.
        if self.config.burl && matches!(identity, Identity::Account(_)) {
            keywords.push(format!("BURL imap imap://{}", self.config.hostname));
        }
        // RFC 4865 §3: for submission; a stranger can't submit.
        if let (Some(ReleaseLimits { longest, latest }), Identity::Account(_)) = (&self.config.future_release, identity)
        {
            keywords.push(format!("FUTURERELEASE {} {latest}", longest.as_secs()));
        }
        keywords.push("HELP".into());
        keywords
    }

    fn rset(&mut self, state: State) -> State {
        self.drop_transaction();
        self.say(&Reply::new(250, (2, 0, 0), "Ok"));
        match state {
            State::Mail(session, _) | State::Chunked(session, ..) => State::Ready(session),
            other => other,
        }
    }

    fn out_of_order(&mut self, state: State, why: &str) -> State {
        self.refuse(503, (5, 5, 1), why);
        state
    }

    /// Refusals of what may not be said at this door, without TLS or by a stranger.
    fn bar(&mut self, identity: &Identity) -> bool {
        if !self.needs_log_in() {
            return false;
        }
        // RFC 6409 §4.3, RFC 3207 §4: 530.
        if !self.is_encrypted() {
            self.refuse(530, (5, 7, 0), "Must issue a STARTTLS command first");
            return true;
        }
        if *identity == Identity::Stranger {
            self.refuse(530, (5, 7, 0), "Authentication required");
            return true;
        }
        false
    }

    fn mail(&mut self, state: State, path: ReversePath, text: &[u8]) -> State {
        let session = match state {
            State::Ready(session) => session,
            State::Greeted => return self.out_of_order(State::Greeted, "Say EHLO first"),
            other => return self.out_of_order(other, "A message is under way; RSET ends it"),
        };
        if self.bar(&session.identity) {
            return State::Ready(session);
        }
        if self.messages >= self.config.messages {
            let name = &self.config.hostname;
            self.say(&Reply::new(421, (4, 7, 0), format!("{name} Too many messages in one session, open another")));
            return State::Closed;
        }
        match parameters::sender(path, text, &self.config) {
            Ok(sender) if !sender.smtputf8 && needs_utf8(sender.reverse_path.address()) => {
                // RFC 6531 §3.5
                self.refuse(553, (5, 6, 7), "The address needs SMTPUTF8");
                State::Ready(session)
            }
            Ok(sender) => {
                let question = Question::Sender(sender.clone(), session.hello.clone());
                self.ask(question, Waiting::Sender(session, sender))
            }
            Err(reply) => {
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    pub(super) fn sender_answered(&mut self, session: Session, sender: Sender, answer: Result<(), Reply>) -> State {
        match answer {
            Ok(()) => {
                self.say(&Reply::new(250, (2, 1, 0), "Sender ok"));
                State::Mail(session, Transaction { sender, recipients: Vec::new() })
            }
            Err(reply) => {
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    fn rcpt(&mut self, state: State, path: ForwardPath, text: &[u8]) -> State {
        let (session, transaction) = match state {
            State::Mail(session, transaction) => (session, transaction),
            State::Chunked(..) => return self.out_of_order(state, "The message has begun"),
            other => return self.out_of_order(other, "Say MAIL first"),
        };
        if transaction.recipients.len() >= self.config.recipients {
            // RFC 5321 §4.5.3.1.10: 452; the client sends the rest in another transaction.
            self.refuse(452, (4, 5, 3), "Too many recipients");
            return State::Mail(session, transaction);
        }
        let address = match path {
            ForwardPath::Address(address) => address,
            // RFC 5321 §4.5.1: for this server's own postmaster.
            ForwardPath::Postmaster => match Address::new("postmaster", self.config.hostname.clone()) {
                Ok(address) => address,
                Err(why) => {
                    self.refuse(501, (5, 1, 3), why.0);
                    return State::Mail(session, transaction);
                }
            },
        };
        match parameters::recipient(text) {
            Ok(_) if !transaction.sender.smtputf8 && address.needs_utf8() => {
                self.refuse(553, (5, 6, 7), "The address needs SMTPUTF8");
                State::Mail(session, transaction)
            }
            Ok((notify, original)) => {
                let recipient = Recipient { address, notify, original };
                let question = Question::Recipient(recipient.clone());
                self.ask(question, Waiting::Recipient(session, transaction, recipient))
            }
            Err(reply) => {
                self.refuse_with(&reply);
                State::Mail(session, transaction)
            }
        }
    }

    pub(super) fn recipient_answered(
        &mut self,
        session: Session,
        mut transaction: Transaction,
        recipient: Recipient,
        answer: Result<(), Reply>,
    ) -> State {
        match answer {
            Ok(()) => {
                self.say(&Reply::new(250, (2, 1, 5), "Recipient ok"));
                transaction.recipients.push(recipient);
            }
            Err(reply) => self.refuse_with(&reply),
        }
        State::Mail(session, transaction)
    }

    fn data(&mut self, state: State) -> State {
        match state {
            // RFC 2033 §4.2: there it is 503.
            State::Mail(_, ref transaction) if transaction.recipients.is_empty() && self.config.role == Role::Lmtp => {
                self.out_of_order(state, "No recipient was taken")
            }
            // RFC 5321 §3.3: 554 where every recipient was refused; a pipelining client sends DATA anyway.
            State::Mail(session, transaction) if transaction.recipients.is_empty() => {
                self.refuse(554, (5, 5, 1), "No valid recipients");
                State::Mail(session, transaction)
            }
            // RFC 3030 §3: a binary body has no lines that a dot could end.
            State::Mail(session, transaction) if transaction.sender.body == BodyType::BinaryMime => {
                self.refuse(503, (5, 5, 1), "BINARYMIME needs BDAT");
                State::Mail(session, transaction)
            }
            State::Mail(session, transaction) => {
                let question = Question::Body { hello: session.hello.clone(), expected: transaction.sender.size };
                self.ask(question, Waiting::Data(session, transaction))
            }
            // RFC 3030 §2: not after BDAT.
            State::Chunked(..) => self.out_of_order(state, "DATA can't follow BDAT"),
            other => self.out_of_order(other, "Say MAIL and RCPT first"),
        }
    }

    fn start_tls(&mut self, state: State) -> State {
        match self.transport {
            Transport::Tls(_) => self.out_of_order(state, "TLS is active already"),
            Transport::Plain { starttls: false } => {
                self.refuse(502, (5, 5, 1), "TLS is not available");
                state
            }
            Transport::Plain { starttls: true } => {
                self.drop_transaction();
                self.say(&Reply::new(220, (2, 0, 0), "Ready to start TLS"));
                State::StartTls
            }
        }
    }

    pub(super) fn identity(&self) -> Option<&str> {
        let session = match &self.state {
            State::Ready(session)
            | State::Mail(session, _)
            | State::Data(session, ..)
            | State::Chunk(session, ..)
            | State::Chunked(session, ..)
            | State::Authenticating(session, _)
            | State::Waiting(
                Waiting::Sender(session, _)
                | Waiting::Recipient(session, ..)
                | Waiting::Data(session, _)
                | Waiting::Chunk(session, ..)
                | Waiting::Burl(session, ..)
                | Waiting::Fetch(session, ..)
                | Waiting::Commit(session, _),
            ) => session,
            _ => return None,
        };
        match &session.identity {
            Identity::Account(name) => Some(name),
            Identity::Stranger => None,
        }
    }
}

fn needs_utf8(address: Option<&Address>) -> bool {
    address.is_some_and(Address::needs_utf8)
}
