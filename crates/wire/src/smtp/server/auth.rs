//! AUTH (RFC 4954).

use mail::Reply;

use super::engine::Server;
use super::state::{Identity, Session, State, Waiting};
use super::{Question, Role, ScramAnswer, Transport};
use crate::sasl::server::{Exchange, ScramStart, Step};
use crate::sasl::{self, ChannelBinding, Failure, Mechanism};

impl Server {
    pub(super) fn auth(&mut self, state: State, mechanism: &[u8], initial: Option<&[u8]>) -> State {
        if self.config.role != Role::Submission {
            self.refuse(502, (5, 5, 1), "Log in on the submission ports, not here");
            return state;
        }
        let Transport::Tls(binding) = &self.transport else {
            // RFC 4954 §6: 538, without TLS; offered it is not either.
            self.refuse(538, (5, 7, 11), "Encryption required: say STARTTLS first");
            return state;
        };
        let binding = binding.clone();
        let session = match state {
            State::Ready(session) if session.identity == Identity::Stranger && session.hello.extended => session,
            // RFC 4954 §4: once, after EHLO, and not within a transaction.
            other => {
                self.refuse(503, (5, 5, 1), "AUTH comes once, after EHLO, before MAIL");
                return other;
            }
        };
        let mechanism = std::str::from_utf8(mechanism).ok().and_then(Mechanism::from_name);
        let Some(mechanism) = mechanism.filter(|mechanism| self.mechanisms(&binding).contains(mechanism)) else {
            self.refuse(504, (5, 5, 4), "Mechanism not supported");
            return State::Ready(session);
        };
        match initial.map(sasl::decode_initial).transpose() {
            Ok(initial) => self.exchange(session, Exchange::start(mechanism, binding, initial.as_deref()), false),
            Err(failure) => self.log_in_failed(session, failure, false),
        }
    }

    /// What is offered, the best first.
    pub(super) fn mechanisms(&self, binding: &ChannelBinding) -> Vec<Mechanism> {
        let mut mechanisms = Mechanism::offered(binding);
        mechanisms.retain(|mechanism| self.config.scram || !mechanism.is_scram());
        mechanisms
    }

    pub(super) fn auth_line(&mut self, session: Session, exchange: Exchange, line: &[u8]) -> State {
        let scram = exchange.is_scram();
        // RFC 4954 §4: `*` cancels.
        if line == b"*" {
            self.refuse(501, (5, 7, 0), "Log-in cancelled");
            return State::Ready(session);
        }
        match sasl::decode(line) {
            Ok(response) => self.exchange(session, exchange.respond(&response), scram),
            Err(failure) => self.log_in_failed(session, failure, scram),
        }
    }

    fn exchange(&mut self, session: Session, step: Step, scram: bool) -> State {
        match step {
            Step::Challenge { text, next } => {
                self.say(&Reply::plain(334, sasl::encode(&text)));
                State::Authenticating(session, next)
            }
            Step::Verify { authorize_as, user, password } => {
                self.ask(Question::Password { authorize_as, user, password }, Waiting::LogIn(session))
            }
            Step::Keys(start) => {
                let question = Question::ScramKeys { user: start.user().to_owned() };
                self.ask(question, Waiting::Keys(session, start))
            }
            Step::Succeeded { authorize_as, .. } => {
                self.ask(Question::ScramEnd { authorize_as, proved: true }, Waiting::LogIn(session))
            }
            Step::Failed(failure) => self.log_in_failed(session, failure, scram),
        }
    }

    fn log_in_failed(&mut self, session: Session, failure: Failure, scram: bool) -> State {
        match failure {
            Failure::Malformed(why) => {
                self.refuse(501, (5, 5, 2), why);
                State::Ready(session)
            }
            Failure::Rejected => {
                let reply = Reply::new(535, (5, 7, 8), "Authentication failed");
                if scram {
                    let question = Question::ScramEnd { authorize_as: None, proved: false };
                    return self.ask(question, Waiting::LogInFailed(session, reply));
                }
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    pub(super) fn keys_answered(
        &mut self,
        session: Session,
        start: ScramStart,
        answer: Result<ScramAnswer, Reply>,
    ) -> State {
        match answer {
            Ok(ScramAnswer { keys, nonce, decoy }) => self.exchange(session, start.keys(keys, &nonce, &decoy), true),
            Err(reply) => {
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    pub(super) fn log_in_answered(&mut self, session: Session, answer: Result<String, Reply>) -> State {
        let identity = match answer {
            Ok(name) => {
                self.say(&Reply::new(235, (2, 7, 0), "Authentication succeeded"));
                Identity::Account(name)
            }
            Err(reply) => {
                self.refuse_with(&reply);
                Identity::Stranger
            }
        };
        State::Ready(Session { identity, ..session })
    }
}
