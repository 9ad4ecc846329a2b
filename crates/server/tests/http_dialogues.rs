//! The dialogues of `tests/transcripts/http` on the real listener, over TCP and TLS, under every cut of the input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod elsewhere;
mod scene;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use mta::world::Clock as _;
use scene::World;
use server::SystemClock;
use server::listen::{Doors, Handler, Listener, Service};
use server::settings::PlaintextAuth;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use store::conformance::address;
use store::{DirectoryEntry, Store, TokenHash};
use testkit::socket::Socket;
use testkit::transcript::{Scene, Subject, Transcript, run_those};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/http")
}

/// A fresh world for each run: sessions and passwords are made in it.
struct Web {
    address: SocketAddr,
    tls: bool,
    world: World,
    known: Vec<(String, String)>,
}

impl Web {
    fn new(transcript: &Transcript) -> Self {
        let mut world = World::new();
        let has = |key| transcript.directive(key).is_some();
        let tls = !has("plain");
        let service = if tls { Service::Https } else { Service::Http };
        let (shared, _) = world.system(true, |settings| {
            scene::apply(transcript, settings);
            if has("never") {
                settings.plaintext_auth = PlaintextAuth::Never;
            }
            let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
            settings.listening = vec![(Service::Submissions, at(465)), (Service::Imaps, at(993))];
            if has("https") {
                settings.listening.push((Service::Https, at(8443)));
            }
        });
        if has("elsewhere") {
            shared.open_outside(&elsewhere::world());
            world.runtime.block_on(elsewhere::letter(&world));
        }
        let inside = world.runtime.enter();
        let listener = Listener::bind(service, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let handler: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
        world.runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
        drop(inside);
        let known = if has("totp") { vec![("code".to_owned(), second_factor(&world))] } else { Vec::new() };
        Self { address, tls, world, known }
    }
}

/// Gives alice a second factor with a recovery code; the code of this moment.
fn second_factor(world: &World) -> String {
    let secret = b"12345678901234567890";
    world.runtime.block_on(async {
        let entry = world.store.entry(&address("alice@red.example")).await.unwrap();
        let Some(DirectoryEntry::Account(alice)) = entry else { panic!("{entry:?}") };
        world.store.begin_totp(alice.id, secret.to_vec()).await.unwrap().into_inner();
        let recovery = TokenHash(Sha256::digest(b"0123456789abcdef").into());
        world.store.confirm_totp(alice.id, 0, vec![recovery]).await.unwrap().into_inner();
    });
    code(secret, u64::try_from(SystemClock.now().secs()).unwrap() / 30)
}

/// RFC 4226 §5.3.
fn code(secret: &[u8], step: u64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).unwrap();
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

impl Scene for Web {
    fn open(&mut self, _: usize) -> io::Result<Box<dyn Subject>> {
        let trusted = (self.world.trusted.clone(), "mail.red.example");
        Ok(Box::new(if self.tls {
            Socket::connect_tls(self.address, trusted)?
        } else {
            Socket::connect(self.address, None)?
        }))
    }

    fn known(&self) -> Vec<(String, String)> {
        self.known.clone()
    }
}

/// Those whose name has its first letter in the range, beside the others.
fn dialogues(letters: std::ops::RangeInclusive<char>) {
    let is_here = |transcript: &Transcript| transcript.name.starts_with(|first: char| letters.contains(&first));
    run_those(folder(), is_here, |transcript| -> Box<dyn Scene> { Box::new(Web::new(transcript)) });
}

#[test]
fn a_to_l() {
    dialogues('a'..='l');
}

#[test]
fn m_to_z() {
    dialogues('m'..='z');
}
