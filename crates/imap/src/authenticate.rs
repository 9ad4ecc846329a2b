//! STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 §6.2, RFC 4959).

use mail::limits;
use wire::imap::command::{Command, Secret, base64};
use wire::imap::reply::{Code, Reply, condition, continuation};
use wire::sasl::server::{Exchange, Step};
use wire::sasl::{self, Failure, Mechanism};

use crate::capability;
use crate::host::{End, Identity, LoginRefused, Patience};
use crate::io::Io;
use crate::session::{State, Turn, User};

/// A command of somebody who has not logged in; `failures`: how often that went wrong so far.
pub(crate) async fn command(io: &mut Io<'_>, tag: &str, failures: usize, command: Command) -> Result<Turn, End> {
    let refused = |reply| Ok((State::NotAuthenticated(failures), reply));
    let security = io.host.security();
    match command {
        Command::StartTls if security.tls => refused(Reply::bad("TLS is on already")),
        Command::StartTls if !security.starttls => refused(Reply::bad("There is no TLS here")),
        Command::StartTls => {
            // RFC 3501 §6.2.1: the OK is the last thing in the clear.
            Reply::ok("Begin TLS").write(&mut io.out, tag);
            io.start_tls().await?;
            Ok((State::NotAuthenticated(failures), Reply::ok("")))
        }
        // RFC 3501 §6.2.3 and RFC 5530 §3: never a password in the clear.
        _ if !security.passwords => refused(Reply::no(Code::PrivacyRequired, "Begin TLS first")),
        Command::Login { user, password: Secret(password) } => {
            let known = match (String::from_utf8(user), String::from_utf8(password)) {
                (Ok(user), Ok(password)) => io.host.log_in(&user, &password).await,
                _ => Err(LoginRefused::Credentials),
            };
            Ok(ended(io, failures, known))
        }
        Command::Authenticate { mechanism, initial } => match Mechanism::from_name(&mechanism) {
            Some(mechanism) if is_offered(io, mechanism) => {
                let step = Exchange::start(mechanism, io.host.binding(), initial.as_deref());
                exchange(io, failures, step).await
            }
            _ => refused(Reply::no(Code::Cannot, "There is no such mechanism")),
        },
        _ => refused(Reply::bad("Log in first")),
    }
}

fn is_offered(io: &Io<'_>, mechanism: Mechanism) -> bool {
    match mechanism {
        Mechanism::Plain | Mechanism::Login => true,
        Mechanism::ScramSha256 => io.host.security().scram,
        Mechanism::ScramSha256Plus => io.host.security().scram && io.host.binding().is_available(),
    }
}

/// Leads a SASL exchange to its end.
async fn exchange(io: &mut Io<'_>, failures: usize, mut step: Step) -> Result<Turn, End> {
    let mut proving = None;
    loop {
        step = match step {
            Step::Challenge { text, next } => match response(io, &sasl::encode(&text)).await? {
                Ok(response) => next.respond(&response),
                Err(reply) => return Ok((State::NotAuthenticated(failures), reply)),
            },
            // Nobody acts for somebody else here.
            Step::Verify { authorize_as: Some(other), user, .. }
            | Step::Succeeded { authorize_as: Some(other), user }
                if !other.eq_ignore_ascii_case(&user) =>
            {
                let reply = Reply::no(Code::AuthorizationFailed, "You can't act for somebody else");
                return Ok((State::NotAuthenticated(failures), reply));
            }
            Step::Verify { user, password, .. } => {
                let known = io.host.log_in(&user, password.reveal()).await;
                return Ok(ended(io, failures, known));
            }
            Step::Keys(start) => match io.host.scram_keys(start.user()).await {
                Ok((keys, nonce)) => {
                    proving = Some(start.user().to_owned());
                    // The keys are made up where there are none, so that no decoy is needed.
                    start.keys(Some(keys), &nonce, &[])
                }
                Err(why) => return Ok(ended(io, failures, Err(why))),
            },
            Step::Succeeded { user, .. } => {
                let known = io.host.scram_ended(&user, true).await;
                return Ok(ended(io, failures, known));
            }
            Step::Failed(Failure::Rejected) => {
                let known = match proving {
                    Some(user) => io.host.scram_ended(&user, false).await,
                    None => Err(LoginRefused::Credentials),
                };
                return Ok(ended(io, failures, known.and(Err(LoginRefused::Credentials))));
            }
            Step::Failed(Failure::Malformed(why)) => {
                return Ok((State::NotAuthenticated(failures), Reply::bad(why)));
            }
        };
    }
}

/// Asks for a line of AUTHENTICATE.
async fn response(io: &mut Io<'_>, challenge: &str) -> Result<Result<Vec<u8>, Reply>, End> {
    continuation(&mut io.out, challenge);
    let line = io.line(limits::IMAP_UNAUTHENTICATED_LEN, Patience::Unauthenticated).await?;
    Ok(match line.as_deref() {
        // RFC 3501 §6.2.2: a lone `*` cancels, answered with BAD.
        Some(b"*") => Err(Reply::bad("Cancelled")),
        Some(line) => base64(line).ok_or_else(|| Reply::bad("That is not base64")),
        None => Err(Reply::bad("The line is too long")),
    })
}

fn ended(io: &mut Io<'_>, failures: usize, known: Result<Identity, LoginRefused>) -> Turn {
    let why = match known {
        Ok(identity) => {
            let capabilities = capability::list(io.host, true);
            let reply = Reply::ok("Logged in").with_code(format!("CAPABILITY {capabilities}"));
            return (State::Authenticated(User { identity, news: None }), reply);
        }
        Err(why) => why,
    };
    let reply = match why {
        LoginRefused::Credentials => Reply::no(Code::AuthenticationFailed, "The name or the password is wrong"),
        LoginRefused::TooMany => Reply::no(Code::Unavailable, "Too many log-ins failed, try again later"),
        LoginRefused::Temporary => {
            let reply = Reply::no(Code::Unavailable, "We can't check passwords now, try again later");
            return (State::NotAuthenticated(failures), reply);
        }
    };
    if failures + 1 < limits::IMAP_LOGIN_FAILURES {
        return (State::NotAuthenticated(failures + 1), reply);
    }
    condition(&mut io.out, "*", "BYE", None, "Too many failed log-ins");
    (State::Logout, reply)
}
