//! Puts the webmail into the program: each file of `webmail/` that the page consists of, as it is and packed by gzip, with a mark of
//! its content; and into the service worker the mark of them all, and their names.
//!
//! Needs nothing but this checkout. `webmail/tests/server.py` does the same to the service worker.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// What the page consists of, by the ends of the names.
const KINDS: [(&str, &str); 5] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("webmanifest", "application/manifest+json"),
];

/// In the service worker, in the place of the version and of the names.
const VERSION: &str = "'VERSION'";
const FILES: &str = "['FILES']";

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../webmail");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    for folder in ["", "src"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let kind = path.extension().and_then(|end| KINDS.iter().find(|(known, _)| end == *known));
            if let (Some((_, kind)), Some(name)) = (kind, path.file_name().and_then(|name| name.to_str())) {
                let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                files.push((name, *kind, fs::read(&path)?));
            }
        }
    }
    files.sort();
    let mut all = Sha256::new();
    for (name, _, content) in &files {
        all.update(mark(name.as_bytes()));
        all.update(mark(content));
    }
    let version = mark(&all.finalize());
    let mut table = String::from("&[\n");
    let names: Vec<String> = files.iter().map(|(name, ..)| name.clone()).filter(|name| name != "sw.js").collect();
    for (at, (name, kind, mut content)) in files.into_iter().enumerate() {
        if name == "sw.js" {
            // The page itself goes by its folder.
            let listed: Vec<_> = names.iter().map(|name| if name == "index.html" { "./" } else { name }).collect();
            let text = String::from_utf8_lossy(&content).into_owned();
            assert!(text.contains(VERSION) && text.contains(FILES), "sw.js has no place for its version and files");
            content =
                text.replace(VERSION, &format!("'{version}'")).replace(FILES, &format!("{listed:?}")).into_bytes();
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&content)?;
        fs::write(out.join(format!("{at}.plain")), &content)?;
        fs::write(out.join(format!("{at}.gz")), packed.finish()?)?;
        let bytes = |end| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{at}.{end}\"))");
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "Asset {{ path: {name:?}, kind: {kind:?}, tag: {:?}, plain: {}, packed: {} }},",
            format!("W/\"{}\"", mark(&content)),
            bytes("plain"),
            bytes("gz"),
        );
    }
    table += "]\n";
    fs::write(out.join("webmail.rs"), table)
}

/// What tells contents apart.
fn mark(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().take(12).fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}
