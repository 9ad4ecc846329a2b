//! Blob/get (RFC 9404 §4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::limits;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha512};
use store::StoreResult;

use super::Content;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::wanted_ids;
use crate::request::{Context, TOO_LARGE};

/// RFC 9404 §3.1: supportedDigestAlgorithms.
pub(crate) const DIGESTS: [&str; 2] = ["sha-256", "sha-512"];

/// What is asked for of each.
struct Wanted {
    data: bool,
    as_text: bool,
    as_base64: bool,
    size: bool,
    digests: Vec<&'static str>,
    offset: u64,
    length: Option<u64>,
}

impl Wanted {
    fn read(args: &mut Args) -> Answer<Self> {
        let names = args.strings("properties")?.unwrap_or_else(|| vec!["data".into(), "size".into()]);
        let has = |name: &str| names.iter().any(|other| other == name);
        let mut wanted = Self {
            data: has("data"),
            as_text: has("data:asText"),
            as_base64: has("data:asBase64"),
            size: has("size"),
            digests: Vec::new(),
            offset: args.unsigned("offset")?.unwrap_or(0),
            length: args.unsigned("length")?,
        };
        for name in names {
            if ["id", "data", "data:asText", "data:asBase64", "size"].contains(&name.as_str()) {
                continue;
            }
            let digest = name.strip_prefix("digest:").and_then(|name| DIGESTS.iter().find(|known| **known == name));
            let digest = digest.ok_or_else(|| MethodError::arguments(format!("there is no property {name}")))?;
            wanted.digests.push(digest);
        }
        Ok(wanted)
    }

    const fn reads_data(&self) -> bool {
        self.data || self.as_text || self.as_base64 || !self.digests.is_empty()
    }
}

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let ids = Args::required("ids", wanted_ids(&mut args)?)?;
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let account = context.open(id).await?;
    let (mut list, mut not_found, mut octets) = (Vec::new(), Vec::new(), 0);
    for id in ids {
        let real = context.real_id(&id).unwrap_or_default();
        let Some(content) = context.server.blob(context.user, &account, real).await? else {
            not_found.push(id);
            continue;
        };
        let mut members = Map::new();
        members.insert("id".into(), real.into());
        if wanted.size {
            members.insert("size".into(), content.size().await?.into());
        }
        if wanted.reads_data() {
            let room = limits::JMAP_RESPONSE_LEN - octets;
            let (part, is_truncated) = part(&content, wanted.offset, wanted.length, room).await?.ok_or(TOO_LARGE)?;
            octets += part.len();
            describe(&mut members, &wanted, part, is_truncated);
        }
        list.push(Value::Object(members));
    }
    Ok(serde_json::json!({ "accountId": ids::account(account.id), "list": list, "notFound": not_found }))
}

/// A range of the octets, and whether it reached beyond their end; `None`: it is longer than `room`.
pub(super) async fn part(
    content: &Content,
    offset: u64,
    length: Option<u64>,
    room: usize,
) -> StoreResult<Option<(Vec<u8>, bool)>> {
    let end = length.map_or(u64::MAX, |length| offset.saturating_add(length));
    let (mut pieces, mut at, mut part) = (content.pieces(), 0u64, Vec::new());
    while at < end
        && let Some(piece) = pieces.next().await?
    {
        let len = piece.len() as u64;
        let place = |wanted: u64| usize::try_from(wanted.saturating_sub(at).min(len)).unwrap_or(0);
        part.extend_from_slice(&piece[place(offset)..place(end).max(place(offset))]);
        at += len;
        if part.len() > room {
            return Ok(None);
        }
    }
    // RFC 9404 §4.2: a range that begins behind the end, or goes beyond it, is told to be cut.
    Ok(Some((part, at < end && length.is_some() || at < offset)))
}

fn describe(members: &mut Map<String, Value>, wanted: &Wanted, part: Vec<u8>, is_truncated: bool) {
    for digest in &wanted.digests {
        let value = match *digest {
            "sha-512" => STANDARD.encode(Sha512::digest(&part)),
            _ => STANDARD.encode(Sha256::digest(&part)),
        };
        members.insert(format!("digest:{digest}"), value.into());
    }
    if !(wanted.data || wanted.as_text || wanted.as_base64) {
        return;
    }
    let text = std::str::from_utf8(&part).ok();
    if wanted.as_text || wanted.data && text.is_some() {
        members.insert("data:asText".into(), text.into());
    }
    if wanted.as_base64 || wanted.data && text.is_none() {
        members.insert("data:asBase64".into(), STANDARD.encode(&part).into());
    }
    // RFC 9404 §4.2: octets that were to be a text and are none.
    let is_problem = text.is_none() && (wanted.as_text || wanted.data);
    if is_problem {
        members.insert("isEncodingProblem".into(), true.into());
    }
    if is_truncated {
        members.insert("isTruncated".into(), true.into());
    }
}
