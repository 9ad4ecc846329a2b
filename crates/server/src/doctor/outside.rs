//! The way out to others' port 25, and what somebody outside sees of us.

use std::net::{IpAddr, SocketAddr};

use ::doctor::{Kind, Probed, Told};
use bytes::Bytes;
use hyper::Request;
use instant_acme::{BodyWrapper, HttpClient as _};
use mail::limits;
use mta::world::Answer;
use mta::world::Dns as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{in_time, told};
use crate::acme::Https;
use crate::dns::Resolver;
use crate::listen::Service;
use crate::settings::Settings;

/// Whether the mail server of `[doctor] reach` greets. None: nobody is asked, or nobody knows where it is.
pub(super) async fn outward(resolver: &Resolver, settings: &Settings) -> Option<(String, Result<(), String>)> {
    let whom = settings.doctor.reach.as_ref()?;
    let Answer::Found(mut exchanges, _) = resolver.mx(whom.as_str()).await else { return None };
    exchanges.sort_by_key(|mx| mx.preference);
    let host = exchanges.first()?.exchange.clone();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for kind in [Kind::A, Kind::Aaaa] {
        if let Answer::Found(records, _) = resolver.written(&host, kind).await {
            addresses.extend(records.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
        }
    }
    let first = SocketAddr::new(*addresses.first()?, settings.relay.port);
    Some((whom.to_string(), in_time(greeted(first)).await))
}

async fn greeted(to: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(to).await.map_err(|error| format!("{to}: {error}"))?;
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(limits::DOCTOR_GREETING_LEN as u64)).lines();
    let line = lines.next_line().await.map_err(|error| format!("{to}: {error}"))?.unwrap_or_default();
    // RFC 5321 §4.1.1.10: politely.
    let _ = write.write_all(b"QUIT\r\n").await;
    if line.starts_with("220") { Ok(()) } else { Err(format!("{to} says “{line}”")) }
}

/// What the probe sees. None: there is none.
pub(super) async fn probed(settings: &Settings) -> Option<Told<Probed>> {
    let probe = settings.doctor.probe.as_ref()?;
    Some(told(in_time(ask(probe, settings)).await))
}

async fn ask(probe: &str, settings: &Settings) -> Result<Probed, String> {
    let public = settings.listening.iter().filter(|(service, _)| *service != Service::Http);
    let ports: Vec<String> = public.map(|(_, address)| address.port().to_string()).collect();
    let join = if probe.contains('?') { '&' } else { '?' };
    let request = Request::get(format!("{probe}{join}ports={}", ports.join(",")));
    let request = request.body(BodyWrapper::<Bytes>::default()).map_err(|error| format!("[doctor] probe: {error}"))?;
    let https = Https::new(settings.doctor.ca_file.as_deref())?;
    let mut answer = https.request(request).await.map_err(|error| error.to_string())?;
    if !answer.parts.status.is_success() {
        return Err(format!("the probe answers {}", answer.parts.status));
    }
    let body = answer.body.into_bytes().await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("the probe's answer makes no sense: {error}"))
}
