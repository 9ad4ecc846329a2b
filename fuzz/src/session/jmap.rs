//! Requests of JMAP on a real store.

use jmap::{Moment, Server, User};
use mail::{Address, limits};
use serde_json::Value;
use store::Store;

use super::world::{self, Alice, Left, NOW, red};

/// It is answered: by a problem where it is no request, else by a response to each call; nothing fails inside, and no answer is
/// larger than it may be.
pub fn jmap_request(data: &[u8]) {
    world::with(async |store, alice| {
        let octets = with_ids(data, &ids(&**store, alice).await);
        let server = Server::new(store.clone());
        let credential = store::Credential::Password(store::PasswordHash(String::new()));
        let user =
            User { account: alice.account, address: Address::new("alice", red()).expect("an address"), credential };
        let before = store.survey(alice.account).await.expect("an account");
        let reply = server.request(&user, &octets, Moment { now: NOW, random: 7 }).await;
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        match reply.status {
            200 => {
                let responses = body["methodResponses"].as_array().expect("responses");
                assert!(reply.body.len() < 2 * limits::JMAP_RESPONSE_LEN, "it says too much");
                for response in responses {
                    assert!(
                        response[0].is_string() && response[1].is_object() && response[2].is_string(),
                        "{response}"
                    );
                    assert!(response[0] != "error" || response[1]["type"] != "serverFail", "{response}");
                }
            }
            400 => assert!(body["type"].as_str().is_some_and(|kind| kind.starts_with("urn:ietf:params:jmap:error:"))),
            other => panic!("status {other}"),
        }
        let after = store.survey(alice.account).await.expect("an account");
        // What is uploaded moves nothing.
        let is_upload = memchr::memmem::find(&octets, b"Blob/upload").is_some();
        if after == before && !is_upload { Left::AsItWas } else { Left::Changed }
    });
}

/// Alice's ids, by what a transcript calls them: A1; F1 to F6; M1 to M3, and T and G likewise.
async fn ids(store: &dyn Store, alice: Alice) -> [Vec<u64>; 3] {
    let mailboxes = store.mailboxes(alice.account).await.expect("an account");
    let mut mailboxes: Vec<u64> = mailboxes.iter().filter_map(|info| info.id).map(|id| id.0).collect();
    mailboxes.sort_unstable();
    let inbox = store.watch(alice.inbox).await.expect("an INBOX").newest().expect("an INBOX");
    [vec![alice.account.0], mailboxes, inbox.iter().map(|row| row.body.0).collect()]
}

/// An input with the ids of this session's Alice.
fn with_ids(data: &[u8], [accounts, mailboxes, messages]: &[Vec<u64>; 3]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut before = b'"';
    for (at, byte) in data.iter().enumerate() {
        let after = data.get(at + 1).copied().unwrap_or_default();
        let is_first = |byte: u8| b"AFMTG".contains(&byte);
        let is_id = byte.is_ascii_digit() && is_first(before) && !after.is_ascii_alphanumeric();
        let starts = at < 2 || !data[at - 2].is_ascii_alphanumeric();
        let known = match before {
            b'A' => accounts,
            b'F' => mailboxes,
            _ => messages,
        };
        let number = usize::from(byte.wrapping_sub(b'1'));
        match known.get(number).filter(|_| is_id && starts) {
            Some(id) => out.extend_from_slice(id.to_string().as_bytes()),
            None => out.push(*byte),
        }
        before = *byte;
    }
    out
}
