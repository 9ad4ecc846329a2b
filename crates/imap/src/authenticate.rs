//! STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 §6.2, RFC 4959).

use mail::limits;
use wire::imap::command::{Command, Secret, base64};
use wire::imap::reply::{Code, Reply, condition, continuation};

use crate::capability;
use crate::host::{End, LoginRefused, Patience};
use crate::io::Io;
use crate::session::{Enabled, State, Turn, User};

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
        Command::Login { user, password } => log_in(io, failures, user, password).await,
        Command::Authenticate { mechanism, initial } => match mechanism.as_str() {
            "PLAIN" => plain(io, failures, initial).await,
            "LOGIN" => login(io, failures, initial).await,
            _ => refused(Reply::no(Code::Cannot, "There is no such mechanism")),
        },
        _ => refused(Reply::bad("Log in first")),
    }
}

/// RFC 4616: `[authzid] NUL authcid NUL passwd`
async fn plain(io: &mut Io<'_>, failures: usize, initial: Option<Vec<u8>>) -> Result<Turn, End> {
    let message = match initial {
        Some(message) => message,
        None => match response(io, "").await? {
            Ok(message) => message,
            Err(reply) => return Ok((State::NotAuthenticated(failures), reply)),
        },
    };
    let mut fields = message.split(|b| *b == 0);
    let (Some(authzid), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Ok((State::NotAuthenticated(failures), Reply::bad("That is no PLAIN message")));
    };
    // Nobody acts for somebody else here.
    if !authzid.is_empty() && !authzid.eq_ignore_ascii_case(user) {
        let reply = Reply::no(Code::AuthorizationFailed, "You can't act for somebody else");
        return Ok((State::NotAuthenticated(failures), reply));
    }
    log_in(io, failures, user.to_vec(), Secret(password.to_vec())).await
}

/// The LOGIN mechanism, as old clients know it: name and password asked one after the other.
async fn login(io: &mut Io<'_>, failures: usize, initial: Option<Vec<u8>>) -> Result<Turn, End> {
    let user = match initial {
        Some(user) => Ok(user),
        None => response(io, "VXNlcm5hbWU6").await?,
    };
    let user = match user {
        Ok(user) => user,
        Err(reply) => return Ok((State::NotAuthenticated(failures), reply)),
    };
    match response(io, "UGFzc3dvcmQ6").await? {
        Ok(password) => log_in(io, failures, user, Secret(password)).await,
        Err(reply) => Ok((State::NotAuthenticated(failures), reply)),
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

async fn log_in(io: &mut Io<'_>, failures: usize, user: Vec<u8>, password: Secret) -> Result<Turn, End> {
    let known = match String::from_utf8(user) {
        Ok(user) => io.host.log_in(&user, &password.0).await,
        Err(_) => Err(LoginRefused::Credentials),
    };
    match known {
        Ok(identity) => {
            let capabilities = capability::list(io.host.security(), true);
            let reply = Reply::ok("Logged in").with_code(format!("CAPABILITY {capabilities}"));
            Ok((State::Authenticated(User { identity, enabled: Enabled::default() }), reply))
        }
        Err(LoginRefused::Temporary) => {
            let reply = Reply::no(Code::Unavailable, "We can't check passwords now, try again later");
            Ok((State::NotAuthenticated(failures), reply))
        }
        Err(LoginRefused::Credentials) => {
            let failures = failures + 1;
            let reply = Reply::no(Code::AuthenticationFailed, "The name or the password is wrong");
            if failures < limits::IMAP_LOGIN_FAILURES {
                return Ok((State::NotAuthenticated(failures), reply));
            }
            condition(&mut io.out, "*", "BYE", None, "Too many failed log-ins");
            Ok((State::Logout, reply))
        }
    }
}
