//! Our domains' MTA-STS policies (RFC 8461): what other servers insist on when they send mail here.
//!
//! Does: write the policy of the domain that the host names, by the settings. Does not: tell anybody that there is one: the TXT
//! record `_mta-sts.DOMAIN` does, and until the operator publishes it nobody asks.

use hyper::StatusCode;
use mail::Domain;

use super::problem::Problem;
use super::reply::{self, Response, TEXT};
use super::request::Request;

/// Seconds for which other servers keep to what they have read: weeks are wished for (RFC 8461 §3.2), and a week is how long a
/// mistake in the policy may cost mail.
const MAX_AGE: u64 = 7 * 86_400;

/// RFC 8461 §3.3: at `mta-sts.` and the domain.
pub(super) async fn policy(request: &Request) -> Result<Response, Problem> {
    let nowhere =
        || Problem::new(StatusCode::NOT_FOUND, "policies are at mta-sts. and the name of a domain of this server");
    let host = request.host().unwrap_or_default().to_ascii_lowercase();
    let domain =
        host.strip_prefix("mta-sts.").and_then(|domain| Domain::from_ascii(domain).ok()).ok_or_else(nowhere)?;
    if request.shared.store.domain(&domain).await?.is_none() {
        return Err(nowhere());
    }
    let (mode, mx) = (request.settings.smtp.mta_sts.name(), &request.settings.hostname);
    // RFC 8461 §3.2: one field a line; a policy in mode `none` needs no mx, and may have it.
    let text = format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {MAX_AGE}\r\n");
    Ok(reply::of(StatusCode::OK, TEXT, text))
}
