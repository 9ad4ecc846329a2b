//! Over what a request came. Where anybody could listen, nothing is shown that needs a log-in.

use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use crate::listen::Service;
use crate::settings::PlaintextAuth;

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// TLS.
    Tls,
    /// From this very machine, which the settings allow, to a name of this very machine.
    Loopback,
    /// In clear.
    Open,
}

impl Door {
    /// Of a request.
    pub(super) fn of(request: &Request) -> Self {
        if request.peer.tls {
            return Self::Tls;
        }
        let allowed = request.settings.plaintext_auth == PlaintextAuth::Loopback && request.peer.ip.is_loopback();
        // A browser here that was sent by a name from outside (DNS rebinding), and a proxy here that passes on what comes
        // from outside, name another host.
        if allowed && request.host().is_some_and(is_this_machine) { Self::Loopback } else { Self::Open }
    }

    /// Where a page of secrets is asked for in clear: the way to the right door, or why there is none. `None`: come in.
    pub(super) fn keeps_out(self, request: &Request, secret: bool) -> Result<Option<Response>, Problem> {
        if !secret || self != Self::Open {
            return Ok(None);
        }
        let https = request.settings.listening.iter().find(|(service, _)| *service == Service::Https);
        match https {
            // Who sent a password in clear is told; to send it again in silence would hide that.
            Some((_, address)) if [Method::GET, Method::HEAD].contains(request.method()) => {
                let port = if address.port() == 443 { String::new() } else { format!(":{}", address.port()) };
                let place = request.place();
                let to = format!("https://{}{port}{place}", request.settings.hostname);
                Ok(Some(reply::elsewhere(StatusCode::PERMANENT_REDIRECT, &to)))
            }
            Some(_) => Err(Problem::forbidden("this is for HTTPS only: what was sent went in clear")),
            None => Err(Problem::forbidden("this is for HTTPS, which is not configured, or for this very machine")),
        }
    }
}

/// Whether a host names the machine that it is said on (RFC 6761 §6.3).
pub(super) fn is_this_machine(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || literal.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LocalHost", "mail.localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "mail.red.example", "localhost.red.example", "xlocalhost", "192.0.2.1", "[2001:db8::1]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
