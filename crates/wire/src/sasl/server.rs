//! The server's side of a log-in.

use super::scram::{self, Keys};
use super::{ChannelBinding, Failure, Mechanism, Password, plain};

/// An exchange that waits for the client's next response.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword { user: String },
    ScramFirst { plus: bool, binding: ChannelBinding },
    ScramFinal(Box<scram::ServerFinal>),
    ScramDone { user: String, authorize_as: Option<String> },
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, base64 encoded; the response goes to `next`.
    Challenge {
        /// Not yet encoded.
        text: Vec<u8>,
        /// Where the response goes.
        next: Exchange,
    },
    /// Check this password; the exchange is over.
    Verify {
        /// As whom the client wants to act, where it said so: must be the same account.
        authorize_as: Option<String>,
        /// The log-in name.
        user: String,
        /// What to check.
        password: Password,
    },
    /// Look up the SCRAM keys of this account and go on with [`ScramStart::keys`].
    Keys(Box<ScramStart>),
    /// Logged in: the client proved that it knows the password.
    Succeeded {
        /// As whom the client wants to act, where it said so: must be the same account.
        authorize_as: Option<String>,
        /// The log-in name.
        user: String,
    },
    /// Not logged in.
    Failed(Failure),
}

/// A SCRAM exchange that waits for the account's keys.
#[derive(Debug)]
pub struct ScramStart(scram::ClientFirst);

impl ScramStart {
    /// The log-in name.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Goes on. Without keys the exchange goes through all its steps and fails at its end, so that nobody learns
    /// which accounts exist; their salt is derived from `decoy`, a secret that stays the same for the life of the
    /// server. `nonce` is fresh and random: 18 octets or more.
    pub fn keys(self, keys: Option<Keys>, nonce: &[u8], decoy: &[u8]) -> Step {
        let (text, next) = self.0.challenge(keys, &super::encode(nonce), decoy);
        Step::Challenge { text, next: Exchange(State::ScramFinal(Box::new(next))) }
    }
}

impl Exchange {
    /// Begins. `initial`: the initial response, decoded, where the client sent one with the command.
    pub fn start(mechanism: Mechanism, binding: ChannelBinding, initial: Option<&[u8]>) -> Step {
        let (challenge, state) = match mechanism {
            Mechanism::Plain => ("", State::Plain),
            Mechanism::Login => ("Username:", State::LoginUser),
            Mechanism::ScramSha256 => ("", State::ScramFirst { plus: false, binding }),
            Mechanism::ScramSha256Plus => ("", State::ScramFirst { plus: true, binding }),
        };
        let exchange = Self(state);
        match initial {
            Some(initial) => exchange.respond(initial),
            None => Step::Challenge { text: challenge.into(), next: exchange },
        }
    }

    /// Whether a failure of it is told nowhere else than here: the password goes to no check.
    pub const fn is_scram(&self) -> bool {
        matches!(self.0, State::ScramFirst { .. } | State::ScramFinal(_) | State::ScramDone { .. })
    }

    /// Takes the client's response, decoded.
    pub fn respond(self, response: &[u8]) -> Step {
        self.try_respond(response).unwrap_or_else(Step::Failed)
    }

    fn try_respond(self, response: &[u8]) -> Result<Step, Failure> {
        let text = |response| match std::str::from_utf8(response) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(Failure::Malformed("name or password is empty or not UTF-8")),
        };
        Ok(match self.0 {
            State::Plain => {
                let plain::Message { authorize_as, user, password } = plain::read(response)?;
                Step::Verify { authorize_as, user, password }
            }
            State::LoginUser => Step::Challenge {
                text: b"Password:".to_vec(),
                next: Self(State::LoginPassword { user: text(response)? }),
            },
            State::LoginPassword { user } => {
                Step::Verify { authorize_as: None, user, password: Password::new(text(response)?) }
            }
            State::ScramFirst { plus, binding } => {
                Step::Keys(Box::new(ScramStart(scram::ClientFirst::read(response, plus, binding)?)))
            }
            State::ScramFinal(last) => {
                let (text, user, authorize_as) = last.verify(response)?;
                Step::Challenge { text, next: Self(State::ScramDone { user, authorize_as }) }
            }
            // RFC 4954 §4, RFC 3501 §6.2.2: no data goes with success, so the server's signature was a challenge,
            // and the answer to it is empty.
            State::ScramDone { user, authorize_as } if response.is_empty() => Step::Succeeded { authorize_as, user },
            State::ScramDone { .. } => return Err(Failure::Malformed("the last response is empty")),
        })
    }
}
