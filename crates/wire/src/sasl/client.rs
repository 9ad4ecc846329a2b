//! The client's side of a log-in.

use super::{ChannelBinding, Failure, Mechanism, Password, plain, scram};

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The log-in name.
    pub user: String,
    /// The password.
    pub password: Password,
}

/// An exchange that waits for the server's next challenge.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    /// Everything was said.
    Said,
    LoginUser(Credentials),
    LoginPassword(Credentials),
    ScramFirst(Box<scram::ClientChallenge>),
    ScramFinal(scram::ServerSignature),
    /// SCRAM: the server has proved that it knows the keys.
    ServerProved,
}

impl Exchange {
    /// The best of the mechanisms that a server offers (names as in its AUTH line), where any is known.
    /// PLAIN and LOGIN show the password to the server: the caller sees to TLS.
    pub fn choose<'a>(offered: impl IntoIterator<Item = &'a str>, binding: &ChannelBinding) -> Option<Mechanism> {
        let offered: Vec<Mechanism> = offered.into_iter().filter_map(Mechanism::from_name).collect();
        Mechanism::offered(binding).into_iter().find(|mechanism| offered.contains(mechanism))
    }

    /// Begins; returns the initial response (not encoded) where the mechanism has one. `plus_offered`: whether the
    /// server offered a `-PLUS` mechanism. `nonce`: fresh and random, 18 octets or more.
    pub fn start(
        mechanism: Mechanism,
        credentials: Credentials,
        binding: &ChannelBinding,
        plus_offered: bool,
        nonce: &[u8],
    ) -> (Option<Vec<u8>>, Self) {
        match mechanism {
            Mechanism::Plain => (Some(plain::write(None, &credentials.user, &credentials.password)), Self(State::Said)),
            Mechanism::Login => (None, Self(State::LoginUser(credentials))),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let plus = mechanism == Mechanism::ScramSha256Plus;
                let (first, next) = scram::ClientChallenge::start(credentials, binding, plus, plus_offered, nonce);
                (Some(first), Self(State::ScramFirst(Box::new(next))))
            }
        }
    }

    /// Answers a challenge, decoded; the response is not yet encoded.
    pub fn respond(self, challenge: &[u8]) -> Result<(Vec<u8>, Self), Failure> {
        Ok(match self.0 {
            State::LoginUser(credentials) => {
                (credentials.user.clone().into_bytes(), Self(State::LoginPassword(credentials)))
            }
            State::LoginPassword(credentials) => (credentials.password.reveal().as_bytes().to_vec(), Self(State::Said)),
            State::ScramFirst(first) => {
                let (response, signature) = first.respond(challenge)?;
                (response, Self(State::ScramFinal(signature)))
            }
            State::ScramFinal(signature) => {
                signature.verify(challenge)?;
                (Vec::new(), Self(State::ServerProved))
            }
            State::Said | State::ServerProved => return Err(Failure::Malformed("a challenge too many")),
        })
    }

    /// The server says that we are logged in: whether it may be believed. A server that can't show that it knows
    /// the password's keys is somebody else (RFC 5802 §5).
    pub fn succeeded(self) -> Result<(), Failure> {
        match self.0 {
            State::Said | State::ServerProved => Ok(()),
            _ => Err(Failure::Malformed("the server did not prove who it is")),
        }
    }
}
