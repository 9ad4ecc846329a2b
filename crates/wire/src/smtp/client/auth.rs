//! AUTH from the client's side (RFC 4954): the lines around an exchange of [`crate::sasl`].

use super::report::Cause;
use crate::sasl::client::{Begun, Exchange};
use crate::sasl::{Failure, decode, encode};

/// The command that begins it.
pub(super) fn command(begun: &Begun) -> String {
    match begun.initial.as_deref() {
        None => format!("AUTH {}\r\n", begun.mechanism),
        // RFC 4954 §4: an empty one is `=`.
        Some([]) => format!("AUTH {} =\r\n", begun.mechanism),
        Some(initial) => format!("AUTH {} {}\r\n", begun.mechanism, encode(initial)),
    }
}

/// Answers a 334 with the next line.
pub(super) fn answer(exchange: Exchange, challenge: &str) -> Result<(String, Exchange), Cause> {
    // LOGIN's challenges are words for people: those that send them bare are understood too.
    let challenge = decode(challenge.trim().as_bytes()).unwrap_or_else(|_| challenge.as_bytes().to_vec());
    let (response, next) = exchange.respond(&challenge).map_err(cause)?;
    Ok((format!("{}\r\n", encode(&response)), next))
}

/// Whether a 235 may be believed: with SCRAM only after the server's signature (it may also come with the 235 itself,
/// which RFC 4954 §4 forbids).
pub(super) fn let_in(exchange: Exchange) -> Result<(), Cause> {
    exchange.succeeded().map_err(cause)
}

const fn cause(failure: Failure) -> Cause {
    match failure {
        Failure::Malformed(why) => Cause::NotSmtp(why),
        // RFC 5802 §5: the client must check `v=`: else anybody could play the server.
        Failure::Rejected => Cause::NotSmtp("it does not know the password itself (SCRAM)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::client::{Credentials, Login};
    use crate::sasl::{ChannelBinding, Password};

    #[test]
    fn lines_of_an_exchange() {
        let credentials = Credentials { user: "u".into(), password: Password::new("p") };
        let login = Login { credentials, nonce: vec![7; 18] };
        let begin = |offered| login.begin([offered], &ChannelBinding::default(), true).unwrap();
        assert_eq!(command(&begin("PLAIN")), "AUTH PLAIN AHUAcA==\r\n");
        let_in(begin("PLAIN").exchange).unwrap();
        let begun = begin("LOGIN");
        assert_eq!(command(&begun), "AUTH LOGIN\r\n");
        let (user, exchange) = answer(begun.exchange, "VXNlcm5hbWU6").unwrap();
        let (password, exchange) = answer(exchange, "Password:").unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("dQ==\r\n", "cA==\r\n"));
        let_in(exchange).unwrap();
        // A server that has shown nothing may not let us in, nor one whose signature is wrong.
        let scram = begin("SCRAM-SHA-256");
        assert!(command(&scram).starts_with("AUTH SCRAM-SHA-256 biws"));
        assert!(let_in(scram.exchange).is_err());
        let first = format!("r={}x,s=c2FsdA==,i=1", encode(&[7; 18]));
        let (_, exchange) = answer(begin("SCRAM-SHA-256").exchange, &encode(first.as_bytes())).unwrap();
        assert!(answer(exchange, &encode(b"v=AAAA")).is_err());
    }
}
