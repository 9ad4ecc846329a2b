//! Uploads and downloads (RFC 8620 §6.1, §6.2), as HTTP will ask for them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Flags, limits};
use serde_json::{Value, json};
use world::{NOW, World, moment};

fn upload(world: &World, user: &str, account: &str, octets: &[u8]) -> (u16, Value) {
    let reply = world.runtime.block_on(async {
        let stage = world.staged(octets).await;
        world
            .server
            .upload(
                &world.server.begin_upload(world.user(user)).unwrap(),
                world.user(user),
                account,
                "image/png",
                stage,
                moment(),
            )
            .await
    });
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

fn download(world: &World, user: &str, account: &str, blob: &str) -> Option<(Option<u64>, Vec<u8>)> {
    world.runtime.block_on(async {
        let mut download = world.server.download(world.user(user), account, blob, moment()).await.unwrap()?;
        let (size, mut all) = (download.size(), Vec::new());
        while let Some(piece) = download.next().await.unwrap() {
            assert!(!piece.is_empty() && piece.len() <= limits::READ_CHUNK);
            all.extend_from_slice(&piece);
        }
        Some((size, all))
    })
}

/// RFC 8620 §6.1: what is uploaded is there for who uploaded it, and for nobody else.
#[test]
fn what_is_uploaded_comes_back() {
    let world = World::new();
    let octets: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
    let (status, told) = upload(&world, "alice", "A1", &octets);
    assert_eq!(
        (status, &told["accountId"], &told["type"], &told["size"]),
        (201, &json!("A1"), &json!("image/png"), &json!(700_000))
    );
    let id = told["blobId"].as_str().unwrap();
    assert_eq!(download(&world, "alice", "A1", id), Some((Some(700_000), octets)));
    assert_eq!(download(&world, "bob", "A2", id), None);
    assert_eq!(download(&world, "alice", "A2", id), None);
    assert_eq!(upload(&world, "alice", "A2", b"x").0, 404);
    assert_eq!(upload(&world, "alice", "nothing", b"x").0, 404);
    for bad in ["", "U", "U99999", "X1", "U1-0-0-0", "é"] {
        assert_eq!(download(&world, "alice", "A1", bad), None, "{bad}");
    }
}

/// RFC 8620 §2: maxSizeUpload.
#[test]
fn uploads_are_bounded() {
    let world = World::new();
    let octets = vec![b'x'; limits::MESSAGE_SIZE + 1];
    let (status, told) = upload(&world, "alice", "A1", &octets);
    assert_eq!((status, &told["limit"]), (400, &json!("maxSizeUpload")));
    assert_eq!(upload(&world, "alice", "A1", &octets[1..]).0, 201);
}

/// Messages are served octet for octet, parts decoded, parts of messages within too.
#[test]
fn messages_and_parts_are_served() {
    let world = World::new();
    let message = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAEC/w==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn\r\n--b--\r\n";
    world.append("INBOX", message, NOW, Flags::NONE);
    assert_eq!(download(&world, "alice", "A1", "G1"), Some((Some(message.len() as u64), message.to_vec())));
    // Where something is decoded the length is not known before.
    assert_eq!(download(&world, "alice", "A1", "G1-1"), Some((None, vec![0, 1, 2, 255])));
    assert_eq!(download(&world, "alice", "A1", "G1-2-0").map(|(_, octets)| octets), Some("grün".as_bytes().to_vec()));
    assert_eq!(download(&world, "alice", "A1", "G1-9"), None);
    // What is marked \Deleted is not there (RFC 8621 §4.1.1).
    world.append("INBOX", b"Subject: gone\r\n\r\n", NOW, Flags::DELETED);
    assert_eq!(download(&world, "alice", "A1", "G2"), None);
}
