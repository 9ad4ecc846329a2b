//! How values stand in columns. Lists are JSON, short keys; addresses are `local@domain`, unquoted.

use std::sync::Arc;

use mail::{
    AccountId, Address, BodyType, Domain, DsnReturn, Envelope, Hold, ModSeq, Notify, Recipient, ReversePath, Timestamp,
};
use serde_json::{Value, json};
use store::{
    Account, AccountState, Addressed, Attempt, AwayNotice, Event, Named, PasswordHash, Profile, Progress, QueueState,
    ScramKeys, StoreError, StoreResult, SubmittedEnvelope, Totp, Way, What,
};

fn bad(what: &str) -> StoreError {
    StoreError::Damaged(format!("store.db holds a {what} that can't be read"))
}

/// A domain as kept.
pub(crate) fn domain(text: &str) -> StoreResult<Domain> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let ip = inner.strip_prefix("IPv6:").unwrap_or(inner).parse().map_err(|_| bad("domain"))?;
        return Ok(Domain::literal(ip));
    }
    Domain::from_ascii(text).map_err(|_| bad("domain"))
}

/// An address as kept: the domain has no @, so the last one divides.
pub(crate) fn address(text: &str) -> StoreResult<Address> {
    let (local, host) = text.rsplit_once('@').ok_or_else(|| bad("address"))?;
    Address::new(local, domain(host)?).map_err(|_| bad("address"))
}

pub(crate) fn address_text(address: &Address) -> String {
    format!("{}@{}", address.local(), address.domain())
}

pub(crate) fn addresses_text(addresses: &[Address]) -> String {
    Value::from(addresses.iter().map(address_text).collect::<Vec<_>>()).to_string()
}

pub(crate) fn addresses(text: &str) -> StoreResult<Vec<Address>> {
    let list: Vec<String> = serde_json::from_str(text).map_err(|_| bad("list of addresses"))?;
    list.iter().map(|text| address(text)).collect()
}

/// Events as the inside of a JSON array, so that lists are joined with a comma. Empty: none.
pub(crate) fn events_text(events: &[Event]) -> String {
    let mut text = String::with_capacity(events.len() * 160);
    for event in events {
        // Strings and numbers always have a JSON form.
        if let Ok(one) = serde_json::to_string(event) {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&one);
        }
    }
    text
}

pub(crate) fn events(text: &str) -> StoreResult<Vec<Event>> {
    serde_json::from_str(&format!("[{text}]")).map_err(|_| bad("journey"))
}

/// The envelope's recipients that no event is about, one a line; `None`: every one has its event.
pub(crate) fn unnamed(envelope: &Envelope, events: &[Event]) -> Option<String> {
    let named = |address: &str| events.iter().any(|event| event.recipient.as_deref() == Some(address));
    let mut all = String::new();
    for recipient in &envelope.recipients {
        let text = recipient.address.to_string();
        if !named(&text) {
            all.push_str(&text);
            all.push('\n');
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Addresses that an event names.
pub(crate) fn named_in(event: &Event) -> impl Iterator<Item = &str> {
    let targets = match &event.what {
        What::Expanded { targets, .. } => targets.as_slice(),
        _ => &[],
    };
    let sender = match &event.what {
        What::Received { account, .. } => account.as_ref(),
        _ => None,
    };
    event.recipient.iter().chain(targets).chain(sender).map(String::as_str)
}

fn notify_bits(notify: Notify) -> u8 {
    u8::from(notify.given) | u8::from(notify.success) << 1 | u8::from(notify.failure) << 2 | u8::from(notify.delay) << 3
}

fn recipient_value(recipient: &Recipient) -> Value {
    json!([address_text(&recipient.address), notify_bits(recipient.notify), recipient.original])
}

pub(crate) fn recipient_text(recipient: &Recipient) -> String {
    recipient_value(recipient).to_string()
}

fn recipient_of(value: &Value) -> Option<Recipient> {
    let bits = value.get(1)?.as_u64()?;
    let notify = Notify { given: bits & 1 != 0, success: bits & 2 != 0, failure: bits & 4 != 0, delay: bits & 8 != 0 };
    let original = value.get(2)?.as_str().map(str::to_owned);
    Some(Recipient { address: address(value.get(0)?.as_str()?).ok()?, notify, original })
}

pub(crate) fn recipient(text: &str) -> StoreResult<Recipient> {
    let value: Value = serde_json::from_str(text).map_err(|_| bad("recipient"))?;
    recipient_of(&value).ok_or_else(|| bad("recipient"))
}

pub(crate) fn envelope_text(envelope: &Envelope) -> String {
    json!({
        "from": envelope.reverse_path.address().map(address_text),
        "to": envelope.recipients.iter().map(recipient_value).collect::<Vec<_>>(),
        "body": match envelope.body {
            BodyType::SevenBit => 7,
            BodyType::EightBitMime => 8,
            BodyType::BinaryMime => 9,
        },
        "utf8": envelope.smtputf8,
        "ret": envelope.dsn_return.map(|ret| match ret { DsnReturn::Full => "full", DsnReturn::Headers => "hdrs" }),
        "envid": envelope.envelope_id,
        "hold": envelope.hold.map(|hold| match hold {
            Hold::For(seconds) => json!(["for", seconds]),
            Hold::Until(at) => json!(["until", at.millis()]),
        }),
    })
    .to_string()
}

pub(crate) fn envelope(text: &str) -> StoreResult<Envelope> {
    let value: Value = serde_json::from_str(text).map_err(|_| bad("envelope"))?;
    let reverse_path = match value["from"].as_str() {
        Some(text) => ReversePath::Address(address(text)?),
        None => ReversePath::Null,
    };
    let recipients = value["to"].as_array().map(Vec::as_slice).unwrap_or_default();
    let recipients: Option<Vec<_>> = recipients.iter().map(recipient_of).collect();
    Ok(Envelope {
        reverse_path,
        recipients: recipients.ok_or_else(|| bad("recipient"))?,
        body: match value["body"].as_u64() {
            Some(8) => BodyType::EightBitMime,
            Some(9) => BodyType::BinaryMime,
            _ => BodyType::SevenBit,
        },
        smtputf8: value["utf8"].as_bool().unwrap_or(false),
        dsn_return: match value["ret"].as_str() {
            Some("full") => Some(DsnReturn::Full),
            Some("hdrs") => Some(DsnReturn::Headers),
            _ => None,
        },
        envelope_id: value["envid"].as_str().map(str::to_owned),
        hold: match (value["hold"][0].as_str(), value["hold"][1].as_i64()) {
            (Some("for"), Some(seconds)) => u32::try_from(seconds).ok().map(Hold::For),
            (Some("until"), Some(at)) => Some(Hold::Until(Timestamp::from_millis(at))),
            _ => None,
        },
    })
}

pub(crate) fn attempt_text(attempt: &Attempt) -> String {
    let (class, subject, detail) = attempt.status;
    json!([attempt.at.millis(), attempt.host, attempt.words, class, subject, detail]).to_string()
}

pub(crate) fn attempt(text: &str) -> StoreResult<Attempt> {
    type Columns = (i64, Option<String>, String, u8, u16, u16);
    let (at, host, words, class, subject, detail): Columns = serde_json::from_str(text).map_err(|_| bad("attempt"))?;
    Ok(Attempt { at: Timestamp::from_millis(at), host, words, status: (class, subject, detail) })
}

fn named_value(named: &[Named]) -> Value {
    named.iter().map(|one| json!([one.name, one.email])).collect()
}

fn named_of(value: &Value) -> Option<Vec<Named>> {
    let one = |value: &Value| {
        let name = value.get(0)?.as_str().map(str::to_owned);
        Some(Named { name, email: value.get(1)?.as_str()?.to_owned() })
    };
    value.as_array()?.iter().map(one).collect()
}

pub(crate) fn profile_text(profile: &Profile) -> String {
    let Profile { name, reply_to, bcc, text_signature, html_signature } = profile;
    let (reply_to, bcc) = (reply_to.as_deref().map(named_value), bcc.as_deref().map(named_value));
    json!([name, reply_to, bcc, text_signature, html_signature]).to_string()
}

pub(crate) fn profile(text: &str) -> StoreResult<Profile> {
    let value: Value = serde_json::from_str(text).map_err(|_| bad("identity"))?;
    let text = |at: usize| value[at].as_str().map(str::to_owned).ok_or_else(|| bad("identity"));
    let named = |at: usize| match &value[at] {
        Value::Null => Ok(None),
        list => named_of(list).map(Some).ok_or_else(|| bad("identity")),
    };
    Ok(Profile {
        name: text(0)?,
        reply_to: named(1)?,
        bcc: named(2)?,
        text_signature: text(3)?,
        html_signature: text(4)?,
    })
}

type AddressedColumns = (String, Option<Vec<(String, Option<String>)>>);

fn addressed_columns(addressed: &Addressed) -> AddressedColumns {
    (addressed.email.clone(), addressed.parameters.clone())
}

fn addressed((email, parameters): AddressedColumns) -> Addressed {
    Addressed { email, parameters }
}

pub(crate) fn submitted_text(envelope: &SubmittedEnvelope) -> String {
    let to: Vec<_> = envelope.to.iter().map(addressed_columns).collect();
    json!([addressed_columns(&envelope.from), to]).to_string()
}

pub(crate) fn submitted(text: &str) -> StoreResult<SubmittedEnvelope> {
    type Columns = (AddressedColumns, Vec<AddressedColumns>);
    let (from, to): Columns = serde_json::from_str(text).map_err(|_| bad("submission"))?;
    Ok(SubmittedEnvelope { from: addressed(from), to: to.into_iter().map(addressed).collect() })
}

pub(crate) fn ways_text(ways: &[Way]) -> String {
    let column = |way: &Way| {
        let progress = match way.progress {
            Progress::Queued => 0,
            Progress::Delivered => 1,
            Progress::Failed => 2,
            Progress::Unknown => 3,
        };
        json!([way.recipient, way.queued, progress, way.words])
    };
    ways.iter().map(column).collect::<Value>().to_string()
}

pub(crate) fn ways(text: &str) -> StoreResult<Vec<Way>> {
    type Columns = Vec<(u32, Option<u32>, u8, String)>;
    let columns: Columns = serde_json::from_str(text).map_err(|_| bad("submission"))?;
    let way = |(recipient, queued, progress, words)| {
        let progress = match progress {
            0 => Progress::Queued,
            1 => Progress::Delivered,
            2 => Progress::Failed,
            _ => Progress::Unknown,
        };
        Way { recipient, queued, progress, words }
    };
    Ok(columns.into_iter().map(way).collect())
}

pub(crate) fn numbers_text(numbers: &[u64]) -> String {
    Value::from(numbers).to_string()
}

pub(crate) fn numbers(text: &str) -> StoreResult<Vec<u64>> {
    serde_json::from_str(text).map_err(|_| bad("list of numbers"))
}

pub(crate) fn names_text(names: &[String]) -> String {
    Value::from(names).to_string()
}

/// Names that our own program wrote.
pub(crate) fn names(text: &str) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

pub(crate) const fn queue_state(state: i64) -> QueueState {
    if state == 0 { QueueState::Waiting } else { QueueState::Held }
}

pub(crate) fn scram_text(keys: &ScramKeys) -> String {
    json!([keys.salt, keys.iterations, keys.stored_key, keys.server_key]).to_string()
}

fn scram(text: &str) -> StoreResult<ScramKeys> {
    type Columns = (Vec<u8>, u32, [u8; 32], [u8; 32]);
    let (salt, iterations, stored_key, server_key): Columns =
        serde_json::from_str(text).map_err(|_| bad("SCRAM key"))?;
    Ok(ScramKeys { salt, iterations, stored_key, server_key })
}

/// Reads what [`account`] needs; a condition may follow.
pub(crate) const ACCOUNT_SELECT: &str =
    "SELECT id, address, password, scram, state, quota, created, secret, confirmed, last_step,
            (SELECT count(*) FROM recovery_codes r WHERE r.account = id), enabled, begins, ends, subject, plain, html,
            (SELECT name FROM scripts s WHERE s.account = accounts.id AND s.active),
            (SELECT s.changed FROM scripts s WHERE s.account = accounts.id AND s.active)
     FROM accounts LEFT JOIN totp ON totp.account = id LEFT JOIN away ON away.account = id";

/// The columns of an away notice, from this one on.
pub(crate) fn away(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<AwayNotice> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(AwayNotice {
        enabled: row.get::<_, Option<bool>>(first)?.unwrap_or_default(),
        from: time(first + 1)?,
        to: time(first + 2)?,
        subject: row.get(first + 3)?,
        text: row.get(first + 4)?,
        html: row.get(first + 5)?,
    })
}

/// An account from the columns of [`ACCOUNT_SELECT`]; its use is counted elsewhere.
pub(crate) fn account(row: &rusqlite::Row<'_>) -> StoreResult<Account> {
    let text = |column: usize| row.get::<_, Option<String>>(column).map_err(crate::error::db);
    let disabled = row.get::<_, i64>(4).map_err(crate::error::db)? != 0;
    let secret = row.get::<_, Option<Vec<u8>>>(7).map_err(crate::error::db)?;
    let totp =
        |secret| Ok(Totp { secret, confirmed: row.get(8)?, last_step: row.get(9)?, recovery_codes: row.get(10)? });
    Ok(Account {
        id: AccountId(row.get(0).map_err(crate::error::db)?),
        address: address(&text(1)?.unwrap_or_default())?,
        password: PasswordHash(text(2)?.unwrap_or_default()),
        scram: text(3)?.as_deref().map(scram).transpose()?,
        state: if disabled { AccountState::Disabled } else { AccountState::Active },
        quota: row.get(5).map_err(crate::error::db)?,
        used: 0,
        messages: 0,
        created: Timestamp::from_millis(row.get(6).map_err(crate::error::db)?),
        totp: secret.map(totp).transpose().map_err(crate::error::db)?,
        away: Some(away(row, 11).map_err(crate::error::db)?).filter(|notice| notice.enabled).map(Arc::new),
        script: text(17)?.zip(row.get::<_, Option<u64>>(18).map_err(crate::error::db)?.map(ModSeq)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let who = |local: &str| Address::new(local, Domain::from_ascii("x.example").unwrap()).unwrap();
        let literal = Address::new("a b@c\"", Domain::literal("2001:db8::1".parse().unwrap())).unwrap();
        assert_eq!(address(&address_text(&literal)).unwrap(), literal);
        let list = vec![who("ä"), literal.clone()];
        assert_eq!(addresses(&addresses_text(&list)).unwrap(), list);
        let envelope_in = Envelope {
            reverse_path: ReversePath::Address(who("s")),
            recipients: vec![
                Recipient { address: literal, notify: Notify::NEVER, original: Some("rfc822;x".into()) },
                Recipient::new(who("r")),
            ],
            body: BodyType::BinaryMime,
            smtputf8: true,
            dsn_return: Some(DsnReturn::Headers),
            envelope_id: Some("id=1".into()),
            hold: Some(Hold::For(60)),
        };
        assert_eq!(envelope(&envelope_text(&envelope_in)).unwrap(), envelope_in);
        let tried = Attempt { at: Timestamp::from_millis(5), host: None, words: "no".into(), status: (4, 4, 1) };
        assert_eq!(attempt(&attempt_text(&tried)).unwrap(), tried);
        let profile_in = Profile {
            name: "Ä".into(),
            reply_to: Some(vec![Named { name: None, email: "a@b".into() }]),
            text_signature: "\n".into(),
            ..Profile::default()
        };
        assert_eq!(profile(&profile_text(&profile_in)).unwrap(), profile_in);
        let to = Addressed { email: "a@b".into(), parameters: Some(vec![("NOTIFY".into(), None)]) };
        let from = Addressed { email: String::new(), parameters: None };
        let envelope_in = SubmittedEnvelope { from, to: vec![to] };
        assert_eq!(submitted(&submitted_text(&envelope_in)).unwrap(), envelope_in);
        let way = |progress| Way { recipient: 1, queued: Some(0), progress, words: "250 ok".into() };
        let ways_in: Vec<_> =
            [Progress::Queued, Progress::Delivered, Progress::Failed, Progress::Unknown].map(way).into();
        assert_eq!(ways(&ways_text(&ways_in)).unwrap(), ways_in);
        let keys = ScramKeys { salt: vec![1, 2], iterations: 4096, stored_key: [3; 32], server_key: [4; 32] };
        assert_eq!(scram(&scram_text(&keys)).unwrap(), keys);
    }
}
