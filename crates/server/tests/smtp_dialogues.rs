//! The dialogues of `tests/transcripts/smtp` under every cut of the input: on the bare engine in memory, and on the pump
//! over TCP and TLS. The real program has its turn in the crate `postrider`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scene;

use std::io;
use std::path::{Path, PathBuf};

use scene::World;
use scene::engine::Engine;
use server::listen::Service;
use testkit::socket::Socket;
use testkit::transcript::{Knowing, Scene, Subject, Transcript, run_those};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/smtp")
}

fn has(transcript: &Transcript, directive: &str) -> bool {
    transcript.directive(directive).is_some()
}

fn service(transcript: &Transcript) -> Service {
    match (has(transcript, "submission"), has(transcript, "lmtp")) {
        (true, _) => Service::Submission,
        (_, true) => Service::Lmtp,
        _ => Service::Smtp,
    }
}

fn tls(transcript: &Transcript) -> bool {
    !has(transcript, "no-tls")
}

#[test]
fn on_the_bare_engine() {
    let mut world = World::new();
    run_those(
        folder(),
        |transcript| !has(transcript, "local"),
        |transcript| -> Box<dyn Scene> {
            let (shared, reception) = world.system(tls(transcript), |settings| scene::apply(transcript, settings));
            *world.between.fault.lock().unwrap() = scene::fault(transcript);
            let ip = if has(transcript, "remote") { "192.0.2.7" } else { "127.0.0.1" };
            let (door, runtime) = ((service(transcript), ip.parse().unwrap()), world.runtime.handle().clone());
            let scene = Box::new(move |_| -> io::Result<Box<dyn Subject>> {
                Ok(Box::new(Engine::new(&runtime, &shared, &reception, door)))
            });
            Box::new(Knowing { scene, known: world.urls(transcript) })
        },
    );
}

#[test]
fn on_the_pump() {
    let mut world = World::new();
    // Who comes over loopback is not remote.
    run_those(
        folder(),
        |transcript| !has(transcript, "remote") && !has(transcript, "local"),
        |transcript| -> Box<dyn Scene> {
            *world.between.fault.lock().unwrap() = scene::fault(transcript);
            let server =
                world.serve(service(transcript), tls(transcript), |settings| scene::apply(transcript, settings));
            let trusted = world.trusted.clone();
            let scene = Box::new(move |_| -> io::Result<Box<dyn Subject>> {
                Ok(Box::new(Socket::connect(server, Some((trusted.clone(), "mail.red.example")))?))
            });
            Box::new(Knowing { scene, known: world.urls(transcript) })
        },
    );
}
