//! The session object (RFC 8620 §2): what a client must know before its first request.

use std::fmt::Write as _;

use mail::{AccountId, Rights, limits};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use store::StoreResult;

use crate::method::{BLOB, CAPABILITIES, CORE, MAIL, OWN, SIEVE, SUBMISSION, WEBPUSH_VAPID, WEBSOCKET};
use crate::server::{Server, User};
use crate::{blob, ids};

/// Where the other resources are: absolute, or relative to the session object's own URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Urls {
    /// Where API requests are sent.
    pub api: String,
    /// With `{accountId}`, `{blobId}`, `{name}` and `{type}`.
    pub download: String,
    /// With `{accountId}`.
    pub upload: String,
    /// With `{types}`, `{closeafter}` and `{ping}`.
    pub event_source: String,
    /// Of the WebSocket.
    pub socket: String,
}

/// An account that somebody has part in.
pub(crate) struct Part {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) is_own: bool,
    /// Whether nothing may be changed in any of its mailboxes.
    pub(crate) is_read_only: bool,
}

impl Server {
    /// Somebody's session object.
    ///
    /// # Errors
    /// The store's.
    pub async fn session_object(&self, user: &User, urls: &Urls) -> StoreResult<Vec<u8>> {
        let mut session = self.session(user).await?;
        let state = state(&session);
        let more = [
            ("apiUrl", &urls.api),
            ("downloadUrl", &urls.download),
            ("uploadUrl", &urls.upload),
            ("eventSourceUrl", &urls.event_source),
        ];
        for (name, url) in more {
            session[name] = url.as_str().into();
        }
        // RFC 8887 §3.1
        session["capabilities"][WEBSOCKET] = json!({ "url": urls.socket, "supportsPush": true });
        session["state"] = state.into();
        Ok(session.to_string().into_bytes())
    }

    /// RFC 8620 §2: another one whenever the session object is another.
    pub(crate) async fn session_state(&self, user: &User) -> String {
        self.session(user).await.map(|session| state(&session)).unwrap_or_default()
    }

    async fn session(&self, user: &User) -> StoreResult<Value> {
        let mut accounts = Map::new();
        for part in self.parts(user).await? {
            let account = json!({
                "name": part.name,
                "isPersonal": part.is_own,
                "isReadOnly": part.is_read_only,
                "accountCapabilities": account_capabilities(part.is_own),
            });
            accounts.insert(ids::account(part.id), account);
        }
        let own = ids::account(user.account);
        let mut capabilities = every(&|name| match name {
            CORE => core(),
            // RFC 9661 §1.2.1
            SIEVE => json!({ "implementation": "Postrider" }),
            _ => json!({}),
        });
        if let Some(courier) = self.courier() {
            // RFC 9749 §3
            let key = courier.application_server_key();
            capabilities.insert(WEBPUSH_VAPID.to_owned(), json!({ "applicationServerKey": key }));
        }
        Ok(json!({
            "capabilities": capabilities,
            "accounts": accounts,
            "primaryAccounts": every(&|_| own.as_str().into()),
            "username": user.address.to_string(),
        }))
    }

    /// One's own account, and those of which others share mailboxes.
    pub(crate) async fn parts(&self, user: &User) -> StoreResult<Vec<Part>> {
        let own = Part { id: user.account, name: user.address.to_string(), is_own: true, is_read_only: false };
        let mut parts = vec![own];
        let changes =
            [Rights::SEEN, Rights::WRITE, Rights::INSERT, Rights::CREATE, Rights::DELETE_MAILBOX, Rights::EXPUNGE];
        for shared in self.store.shared_with(user.account).await? {
            if !shared.rights.contains(Rights::LOOKUP) {
                continue;
            }
            if parts.last().is_none_or(|last| last.id != shared.owner) {
                let name = shared.address.to_string();
                parts.push(Part { id: shared.owner, name, is_own: false, is_read_only: true });
            }
            if let Some(last) = parts.last_mut()
                && changes.iter().any(|right| shared.rights.contains(*right))
            {
                last.is_read_only = false;
            }
        }
        Ok(parts)
    }
}

/// RFC 8620 §2
fn core() -> Value {
    json!({
        "maxSizeUpload": limits::MESSAGE_SIZE,
        "maxConcurrentUpload": limits::JMAP_UPLOADS_AT_ONCE,
        "maxSizeRequest": limits::JMAP_REQUEST_LEN,
        "maxConcurrentRequests": limits::JMAP_REQUESTS_AT_ONCE,
        "maxCallsInRequest": limits::JMAP_CALLS,
        "maxObjectsInGet": limits::JMAP_OBJECTS_IN_GET,
        "maxObjectsInSet": limits::JMAP_OBJECTS_IN_SET,
        "collationAlgorithms": COLLATIONS,
    })
}

/// The collation that texts are compared with, whatever is asked for among these (RFC 8620 §5.5): letters without marks, in
/// small.
pub(crate) const COLLATIONS: [&str; 2] = ["i;ascii-casemap", "i;unicode-casemap"];

/// RFC 8621 §1.3.1, RFC 9404 §3.1, RFC 9425 §3
fn account_capabilities(is_own: bool) -> Value {
    let mut capabilities = json!({
        MAIL: {
            "maxMailboxesPerEmail": limits::JMAP_MAILBOXES_PER_EMAIL,
            "maxMailboxDepth": null,
            "maxSizeMailboxName": limits::MAILBOX_NAME_LEN,
            "maxSizeAttachmentsPerEmail": limits::MESSAGE_SIZE,
            "emailQuerySortOptions": SORT_OPTIONS,
            "mayCreateTopLevelMailbox": is_own,
        },
        BLOB: {
            "maxSizeBlobSet": limits::MESSAGE_SIZE,
            "maxDataSources": limits::JMAP_DATA_SOURCES,
            "supportedTypeNames": blob::lookup::TYPES,
            "supportedDigestAlgorithms": blob::get::DIGESTS,
        },
        CORE: {},
    });
    for name in OWN.iter().filter(|_| is_own) {
        capabilities[*name] = match *name {
            SUBMISSION => submission(),
            SIEVE => sieve(),
            _ => json!({}),
        };
    }
    capabilities
}

/// Something for each capability.
fn every(value: &dyn Fn(&str) -> Value) -> Map<String, Value> {
    CAPABILITIES.iter().map(|name| ((*name).to_owned(), value(name))).collect()
}

/// RFC 8621 §1.3.2
fn submission() -> Value {
    let longest = limits::HOLD_LONGEST.as_secs();
    json!({
        "maxDelayedSend": longest,
        // RFC 4865 §3: of the two, the interval alone; the latest time would be another each moment.
        "submissionExtensions": {
            "FUTURERELEASE": [longest.to_string()],
            "DSN": [],
            "SIZE": [],
            "8BITMIME": [],
            "SMTPUTF8": [],
        },
    })
}

/// RFC 9661 §1.2.1
fn sieve() -> Value {
    json!({
        "maxSizeScriptName": limits::SIEVE_SCRIPT_NAME_LEN,
        "maxSizeScript": limits::SIEVE_SCRIPT_LEN,
        "maxNumberScripts": limits::SIEVE_SCRIPTS,
        "maxNumberRedirects": limits::SIEVE_REDIRECTS,
        "sieveExtensions": sieve::CAPABILITIES,
        "notificationMethods": sieve::NOTIFY_METHODS,
        "externalLists": null,
    })
}

/// By what messages can be sorted (RFC 8621 §4.4.2).
pub(crate) const SORT_OPTIONS: [&str; 9] = [
    "receivedAt",
    "size",
    "from",
    "to",
    "subject",
    "sentAt",
    "hasKeyword",
    "allInThreadHaveKeyword",
    "someInThreadHaveKeyword",
];

fn state(session: &Value) -> String {
    let digest = Sha256::digest(session.to_string().as_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
