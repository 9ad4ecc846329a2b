//! `write_seeds TARGET FOLDER`: puts a target's seeds into a folder, for libFuzzer to begin with.

use std::path::PathBuf;

use postrider_fuzz::TARGETS;

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (words.next(), words.next().map(PathBuf::from)) else {
        return Err(std::io::Error::other("write_seeds TARGET FOLDER"));
    };
    let Some((_, _, folders)) = TARGETS.iter().find(|(known, ..)| *known == name) else {
        return Err(std::io::Error::other("there is no such target"));
    };
    std::fs::create_dir_all(&folder)?;
    for (n, seed) in postrider_fuzz::seeds::seeds(&name, folders).iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{n:03}")), seed)?;
    }
    Ok(())
}
