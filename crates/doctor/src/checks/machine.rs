//! The machine: its disk, and what it lets this program have.

use mail::limits;

use crate::Finding;
use crate::facts::{Facts, Machine, Told};

/// No disk, and no array with a battery, is done so soon (nanoseconds): what is that fast has written nothing.
const UNBELIEVABLE: u64 = 5_000;
/// What is that slow (nanoseconds) lets few messages a second in.
const SLOW: u64 = 50_000_000;
/// Of free space less than so many times the reserve is told.
const NEAR: u64 = 4;

pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    let machine = &facts.machine;
    vec![space(machine), sync(machine), descriptors(machine)]
}

fn mib(octets: u64) -> String {
    format!("{} MiB", octets >> 20)
}

fn space(machine: &Machine) -> Finding {
    let (of, reserve) = (&machine.folder, machine.reserve);
    match machine.free {
        Told::Unknown(ref why) => Finding::not_checked("disk-space", of, format!("nobody tells: {why}"), ""),
        Told::Known(free) if free < reserve => {
            let why = "no mail is accepted below that; what is there can be read";
            let says = format!("{} are free, less than the reserve of {}", mib(free), mib(reserve));
            Finding::fail("disk-space", of, says, why, "delete mail, or give the folder a larger disk")
        }
        Told::Known(free) if free < reserve.saturating_mul(NEAR) => {
            let says = format!("{} are free; below {} no mail is accepted", mib(free), mib(reserve));
            Finding::warn(
                "disk-space",
                of,
                says,
                "senders are told to come later then",
                "give the folder a larger disk",
            )
        }
        Told::Known(free) => Finding::pass("disk-space", of, format!("{} are free", mib(free))),
    }
}

/// What the disk says is written must be written: all that is promised rests on it.
fn sync(machine: &Machine) -> Finding {
    let of = &machine.folder;
    if machine.in_memory {
        let why = "everything is lost when the power goes, or the machine restarts";
        let says = "it lies in memory (tmpfs), not on a disk";
        return Finding::fail("disk-sync", of, says, why, "set data_dir to a folder on a disk");
    }
    match machine.sync {
        Told::Unknown(ref why) => Finding::not_checked("disk-sync", of, format!("it can't be measured: {why}"), ""),
        Told::Known(nanos) if nanos < UNBELIEVABLE => {
            let says = format!("a sync takes {nanos} ns: too fast to be true for any disk");
            let why = "mail that was acknowledged is lost when the power goes: something on the way says “written” and has not";
            let fix = "look for eatmydata, libnosync, mount options (nobarrier), a virtual disk with cache=unsafe";
            Finding::warn("disk-sync", of, says, why, fix)
        }
        Told::Known(nanos) if nanos > SLOW => {
            let says = format!("a sync takes {} ms", nanos / 1_000_000);
            let why = "each message waits for one: few come in a second";
            Finding::warn(
                "disk-sync",
                of,
                says,
                why,
                "a disk with a cache that survives power loss (SSD with PLP) is faster",
            )
        }
        Told::Known(nanos) => {
            let says = format!("a sync takes {} µs, which a disk can do; only a power cut proves it", nanos / 1000);
            Finding::pass("disk-sync", of, says)
        }
    }
}

fn descriptors(machine: &Machine) -> Finding {
    let Machine { connections, connections_allowed, .. } = *machine;
    if connections < connections_allowed {
        let kept = limits::DESCRIPTORS_KEPT as u64;
        let says = format!("there are files for {connections} connections, and {connections_allowed} are allowed");
        let fix = format!("LimitNOFILE={}   (in the systemd unit, or \"ulimit -Hn\")", connections_allowed + kept);
        return Finding::warn(
            "file-limit",
            "this process",
            says,
            "clients are turned away before the limit is reached",
            fix,
        );
    }
    Finding::pass("file-limit", "this process", format!("there are files for all {connections_allowed} connections"))
}
