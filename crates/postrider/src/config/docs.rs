//! docs/configuration.md, made from the sections' own documentation; a test compares it with the file.

use std::fmt::Write as _;

use super::read::Key;
use super::{
    Listen, Log, Top, acme, auth, dns, doctor, http, journey, limits, local, milter, policy, relay, route, sieve, smtp,
    tls, trusted,
};

/// docs/configuration.md: every key with its default and its meaning.
pub(crate) fn documentation() -> String {
    let mut text = String::from(
        "# postrider.toml\n\n\
         Every key has a default unless it says otherwise; unknown keys are errors. Paths are relative to the file. \
         `postrider check` says what is wrong with a file, in which line, and what to do. SIGHUP takes a changed file \
         without a restart, all of it or, where something in it is wrong, nothing; only `data_dir` and `[local] misbehave` \
         count from the next start.\n\n\
         This page is made from the program's source.\n",
    );
    chapter(&mut text, "The top of the file", Top::ABOUT, &Top::keys());
    chapter(&mut text, "[listen]", Listen::ABOUT, &Listen::keys());
    chapter(&mut text, "[tls]", tls::Tls::ABOUT, &tls::Tls::keys());
    chapter(&mut text, "[acme]", acme::Acme::ABOUT, &acme::Acme::keys());
    chapter(&mut text, "[dns]", dns::Dns::ABOUT, &dns::Dns::keys());
    chapter(&mut text, "[relay]", relay::Relay::ABOUT, &relay::Relay::keys());
    chapter(&mut text, "[[route]]", route::Route::ABOUT, &route::Route::keys());
    chapter(&mut text, "[[trusted]]", trusted::Trusted::ABOUT, &trusted::Trusted::keys());
    chapter(&mut text, "[[milter]]", milter::Milter::ABOUT, &milter::Milter::keys());
    chapter(&mut text, "[junk]", milter::Junk::ABOUT, &milter::Junk::keys());
    chapter(&mut text, "[sieve]", sieve::Sieve::ABOUT, &sieve::Sieve::keys());
    chapter(&mut text, "[smtp]", smtp::Smtp::ABOUT, &smtp::Smtp::keys());
    chapter(&mut text, "[policy]", policy::Policy::ABOUT, &policy::Policy::keys());
    chapter(&mut text, "[auth]", auth::Auth::ABOUT, &auth::Auth::keys());
    chapter(&mut text, "[limits]", limits::Limits::ABOUT, &limits::Limits::keys());
    chapter(&mut text, "[http]", http::Http::ABOUT, &http::Http::keys());
    chapter(&mut text, "[journey]", journey::Journey::ABOUT, &journey::Journey::keys());
    chapter(&mut text, "[log]", Log::ABOUT, &Log::keys());
    chapter(&mut text, "[doctor]", doctor::Doctor::ABOUT, &doctor::Doctor::keys());
    chapter(&mut text, "[local]", local::Local::ABOUT, &local::Local::keys());
    text
}

fn joined(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn chapter(text: &mut String, name: &str, about: &str, keys: &[Key]) {
    // Writing into a String can't fail.
    let _ = write!(text, "\n## {name}\n\n{}\n\n| key | default | |\n|---|---|---|\n", joined(about));
    for key in keys {
        let kind = key.kind.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | `{}` | {} *({kind})* |", key.name, key.default, joined(key.doc));
    }
}
