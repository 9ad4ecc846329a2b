//! How mail clients find their settings: Thunderbird's autoconfig, Outlook's autodiscover, Apple's profiles.
//!
//! Does: write them of the listeners and the host name, the safest way first. Does not: tell whether an account exists;
//! only whether the domain is one of ours, which DNS tells, too.

use std::fmt::Write as _;

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use mail::{Address, Domain};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use crate::listen::Service;

/// One way to reach the server.
struct Way {
    protocol: &'static str,
    port: u16,
    /// TLS from the start; else STARTTLS.
    implicit: bool,
}

/// What listens: with TLS from the start first (RFC 8314 §3), IMAP before POP3. Nothing without TLS.
fn ways(request: &Request) -> Vec<Way> {
    const ORDER: [(Service, &str, bool); 6] = [
        (Service::Imaps, "imap", true),
        (Service::Imap, "imap", false),
        (Service::Pop3s, "pop3", true),
        (Service::Pop3, "pop3", false),
        (Service::Submissions, "smtp", true),
        (Service::Submission, "smtp", false),
    ];
    if request.shared.acceptor().is_none() {
        return Vec::new();
    }
    let way = |(service, protocol, implicit)| {
        let (_, address) = request.settings.listening.iter().find(|(listening, _)| *listening == service)?;
        Some(Way { protocol, port: address.port(), implicit })
    };
    ORDER.into_iter().filter_map(way).collect()
}

/// The first way of a protocol.
fn first<'a>(ways: &'a [Way], protocol: &str) -> Option<&'a Way> {
    ways.iter().find(|way| way.protocol == protocol)
}

/// An address of one of our domains.
async fn ours(request: &Request, text: &str) -> Result<Address, Problem> {
    let address = wire::address::mailbox(text.trim()).map_err(|_| Problem::bad("that is no address"))?.folded();
    match request.shared.store.domain(address.domain()).await? {
        Some(_) => Ok(address),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "the domain is not one of this server's")),
    }
}

/// The domain that is asked for: of the address, of the host, or the first one.
async fn domain(request: &Request) -> Result<Domain, Problem> {
    if let Some(address) = request.query("emailaddress") {
        return ours(request, &address).await.map(|address| address.domain().clone());
    }
    let domains = request.shared.store.domains().await?;
    let host = request.host().map(|host| host.strip_prefix("autoconfig.").unwrap_or(host).to_ascii_lowercase());
    let named = domains.iter().find(|record| Some(record.domain.as_str()) == host.as_deref());
    let found = named.or(domains.first()).map(|record| record.domain.clone());
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "this server has no domain"))
}

fn xml(body: String) -> Response {
    reply::of(StatusCode::OK, "application/xml; charset=utf-8", body)
}

/// Text within an element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Thunderbird's config-v1.1.xml, which others read too.
pub(super) async fn thunderbird(request: &Request) -> Result<Response, Problem> {
    let (domain, host) = (domain(request).await?, &request.settings.hostname);
    let mut servers = String::new();
    for Way { protocol, port, implicit } in ways(request) {
        let element = if protocol == "smtp" { "outgoingServer" } else { "incomingServer" };
        let socket = if implicit { "SSL" } else { "STARTTLS" };
        let _ = write!(
            servers,
            "    <{element} type=\"{protocol}\">\r\n      <hostname>{host}</hostname>\r\n      <port>{port}</port>\r\n      \
             <socketType>{socket}</socketType>\r\n      <authentication>password-cleartext</authentication>\r\n      \
             <username>%EMAILADDRESS%</username>\r\n    </{element}>\r\n"
        );
    }
    // Names of domains have no characters that mean something in XML.
    Ok(xml(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<clientConfig version=\"1.1\">\r\n  <emailProvider id=\"{domain}\">\r\n    \
         <domain>{domain}</domain>\r\n    <displayName>{domain}</displayName>\r\n    \
         <displayShortName>{domain}</displayShortName>\r\n{servers}  </emailProvider>\r\n</clientConfig>\r\n"
    )))
}

/// What stands in the first element of this name; namespace prefixes are not expected.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// Outlook's autodiscover (MS-OXDSCLI), as far as it says where IMAP, POP3 and SMTP are.
pub(super) async fn outlook(request: &mut Request) -> Result<Response, Problem> {
    let asked = request.text().await?;
    let address = element(&asked, "EMailAddress").ok_or_else(|| Problem::bad("there is no EMailAddress"))?;
    let address = ours(request, address).await?;
    let (host, ways, who) = (&request.settings.hostname, ways(request), escape(&address.to_string()));
    let mut protocols = String::new();
    for (kind, protocol) in [("IMAP", "imap"), ("POP3", "pop3"), ("SMTP", "smtp")] {
        let Some(Way { port, implicit, .. }) = first(&ways, protocol) else { continue };
        let encryption = if *implicit { "SSL" } else { "TLS" };
        let _ = write!(
            protocols,
            "      <Protocol>\r\n        <Type>{kind}</Type>\r\n        <Server>{host}</Server>\r\n        \
             <Port>{port}</Port>\r\n        <LoginName>{who}</LoginName>\r\n        <DomainRequired>off</DomainRequired>\r\n        \
             <SPA>off</SPA>\r\n        <SSL>on</SSL>\r\n        <Encryption>{encryption}</Encryption>\r\n        \
             <AuthRequired>on</AuthRequired>\r\n      </Protocol>\r\n"
        );
    }
    let schema = "http://schemas.microsoft.com/exchange/autodiscover";
    Ok(xml(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<Autodiscover xmlns=\"{schema}/responseschema/2006\">\r\n  \
         <Response xmlns=\"{schema}/outlook/responseschema/2006a\">\r\n    <User>\r\n      <DisplayName>{who}</DisplayName>\r\n    \
         </User>\r\n    <Account>\r\n      <AccountType>email</AccountType>\r\n      <Action>settings</Action>\r\n{protocols}    \
         </Account>\r\n  </Response>\r\n</Autodiscover>\r\n"
    )))
}

/// The same for the same text, so that a profile that is installed again takes the place of the old one (RFC 9562 §5.8).
fn uuid(text: &str) -> String {
    let mut bytes: [u8; 32] = Sha256::digest(text).into();
    (bytes[6], bytes[8]) = (bytes[6] & 0x0f | 0x80, bytes[8] & 0x3f | 0x80);
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Apple's configuration profile, for iOS and macOS.
pub(super) async fn apple(request: &Request) -> Result<Response, Problem> {
    let asked = request.query("address").ok_or_else(|| Problem::bad("say for whom: /mobileconfig?address=…"))?;
    let address = ours(request, &asked).await?;
    let (host, ways, who) = (&request.settings.hostname, ways(request), escape(&address.to_string()));
    let incoming = first(&ways, "imap").or_else(|| first(&ways, "pop3"));
    let (Some(incoming), Some(outgoing)) = (incoming, first(&ways, "smtp")) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is nothing that a mail client could use"));
    };
    let kind = if incoming.protocol == "imap" { "EmailTypeIMAP" } else { "EmailTypePOP" };
    let mut inner = String::new();
    let mut text = |key: &str, value: &str| {
        let _ = write!(inner, "      <key>{key}</key>\r\n      <string>{value}</string>\r\n");
    };
    text("PayloadType", "com.apple.mail.managed");
    text("PayloadIdentifier", &format!("{host}.mail.{}", uuid(&who)));
    text("PayloadUUID", &uuid(&format!("mail of {who}")));
    text("PayloadDisplayName", &who);
    text("EmailAccountDescription", &who);
    text("EmailAccountType", kind);
    text("EmailAddress", &who);
    text("IncomingMailServerAuthentication", "EmailAuthPassword");
    text("IncomingMailServerHostName", host.as_str());
    text("IncomingMailServerUsername", &who);
    text("OutgoingMailServerAuthentication", "EmailAuthPassword");
    text("OutgoingMailServerHostName", host.as_str());
    text("OutgoingMailServerUsername", &who);
    for (key, value) in [
        ("PayloadVersion", "<integer>1</integer>".to_owned()),
        ("IncomingMailServerPortNumber", format!("<integer>{}</integer>", incoming.port)),
        ("IncomingMailServerUseSSL", "<true/>".into()),
        ("OutgoingMailServerPortNumber", format!("<integer>{}</integer>", outgoing.port)),
        ("OutgoingMailServerUseSSL", "<true/>".into()),
        ("OutgoingPasswordSameAsIncomingPassword", "<true/>".into()),
    ] {
        let _ = write!(inner, "      <key>{key}</key>\r\n      {value}\r\n");
    }
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\r\n<plist version=\"1.0\">\r\n<dict>\r\n  <key>PayloadContent</key>\r\n  \
         <array>\r\n    <dict>\r\n{inner}    </dict>\r\n  </array>\r\n  <key>PayloadDisplayName</key>\r\n  <string>{who}</string>\r\n  \
         <key>PayloadIdentifier</key>\r\n  <string>{host}.{}</string>\r\n  <key>PayloadType</key>\r\n  \
         <string>Configuration</string>\r\n  <key>PayloadUUID</key>\r\n  <string>{}</string>\r\n  <key>PayloadVersion</key>\r\n  \
         <integer>1</integer>\r\n</dict>\r\n</plist>\r\n",
        uuid(&who),
        uuid(&format!("profile of {who}")),
    );
    let mut response = reply::of(StatusCode::OK, "application/x-apple-aspen-config", body);
    let name = HeaderValue::from_static("attachment; filename=\"mail.mobileconfig\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_text_is_escaped() {
        assert_eq!(element("<a><EMailAddress>x@y</EMailAddress></a>", "EMailAddress"), Some("x@y"));
        assert_eq!(element("<EMailAddress>x@y", "EMailAddress"), None);
        assert_eq!(escape("\"<a>&b\"@x"), "\"&lt;a&gt;&amp;b\"@x");
        // RFC 9562 §4.2: version 8, variant 10.
        let id = uuid("alice@red.example");
        assert_eq!((id.len(), &id[14..15], id == uuid("alice@red.example")), (36, "8", true));
    }
}
