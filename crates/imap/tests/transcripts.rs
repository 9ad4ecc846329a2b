//! The dialogues of `tests/transcripts/imap` on sessions in memory, under every cut of the input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::path::Path;

use testkit::transcript::{Scene, Transcript, run_folder};
use world::{MemoryScene, Settings, World};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/imap");
    let messages = folder.join("messages");
    run_folder(&folder, |transcript: &Transcript| -> Box<dyn Scene> {
        let is = |key: &str| transcript.directive(key).is_some();
        let mut world = World::new();
        if !is("empty") {
            world.fill(&messages);
        }
        if let Some(quota) = transcript.directive("quota") {
            world.set_quota(quota.parse().unwrap());
        }
        let scram = is("scram");
        if scram {
            let keys = wire::sasl::scram::Keys::derive(world::PASSWORD, &[1; 16], 4096);
            world.keys = Some(keys);
        }
        let settings =
            Settings { tls: is("tls"), starttls: is("starttls"), remote: is("remote"), scram, jmap: is("jmap") };
        Box::new(MemoryScene { world, settings })
    });
}
