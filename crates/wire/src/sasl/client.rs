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

/// A log-in that has not begun.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who.
    pub credentials: Credentials,
    /// Fresh and random, 18 octets or more; for one connection only.
    pub nonce: Vec<u8>,
}

/// A log-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The mechanism to name.
    pub mechanism: Mechanism,
    /// What goes with it (not encoded), where the mechanism lets the client speak first.
    pub initial: Option<Vec<u8>>,
    /// What follows.
    pub exchange: Exchange,
}

impl Login {
    /// Begins with the best of the mechanisms that a server offers (names as in its AUTH line). `clear`: the password may
    /// be shown to the server as it is, since nobody else can see it. None: nothing that we know and may use.
    pub fn begin<'a>(
        &self,
        offered: impl IntoIterator<Item = &'a str>,
        binding: &ChannelBinding,
        clear: bool,
    ) -> Option<Begun> {
        let offered: Vec<Mechanism> = offered.into_iter().filter_map(Mechanism::from_name).collect();
        let may = |mechanism: &Mechanism| offered.contains(mechanism) && (clear || mechanism.is_scram());
        let mechanism = Mechanism::offered(binding).into_iter().find(may)?;
        let plus_offered = offered.contains(&Mechanism::ScramSha256Plus);
        let credentials = self.credentials.clone();
        let (initial, exchange) = Exchange::start(mechanism, credentials, binding, plus_offered, &self.nonce);
        Some(Begun { mechanism, initial, exchange })
    }
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
