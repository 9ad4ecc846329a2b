//! `postrider systemd`: a unit for this server.

use std::path::Path;

use clap::Args;

use super::{Failure, Outcome, Server, print};
use crate::config::Config;

/// Prints a systemd unit that runs this server: as a user of its own, with the ports below 1024, and nothing else.
#[derive(Args, Debug)]
pub(crate) struct Systemd {
    /// Who it runs as; must own the server's folder.
    #[arg(long, default_value = "postrider")]
    user: String,
    #[command(flatten)]
    server: Server,
}

impl Systemd {
    pub(super) fn run(self) -> Outcome {
        let config = self.server.load()?;
        let program = std::env::current_exe().map_err(|error| Failure(format!("where this program is: {error}")))?;
        print(unit(&config, &program, &self.user)?.trim_end());
        Ok(())
    }
}

fn unit(config: &Config, program: &Path, user: &str) -> Result<String, Failure> {
    // The data may not be there yet; where it is to be, its folder is.
    let whole =
        |path: &Path| std::path::absolute(path).map_err(|error| Failure(format!("{}: {error}", path.display())));
    let (file, data) = (whole(&config.file)?, whole(&config.data_dir)?);
    let files = config.settings.limits.connections + mail::limits::DESCRIPTORS_KEPT;
    let (program, file, data) = (quoted(program), quoted(&file), quoted(&data));
    Ok(format!(
        "[Unit]\n\
         Description=Postrider, mail for {hostname}\n\
         Documentation=man:postrider(1)\n\
         Wants=network-online.target\n\
         After=network-online.target nss-lookup.target\n\n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} serve --config {file}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         User={user}\n\
         Restart=on-failure\n\
         RestartSec=5\n\
         TimeoutStopSec=15\n\
         LimitNOFILE={files}\n\
         # Ports below 1024, and nothing else that root may.\n\
         AmbientCapabilities=CAP_NET_BIND_SERVICE\n\
         CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n\
         NoNewPrivileges=yes\n\
         # All of the system can be read at most; mail and keys are written.\n\
         ProtectSystem=strict\n\
         ReadWritePaths={data}\n\
         PrivateTmp=yes\n\
         PrivateDevices=yes\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectControlGroups=yes\n\
         ProtectClock=yes\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
         RestrictNamespaces=yes\n\
         RestrictSUIDSGID=yes\n\
         LockPersonality=yes\n\
         MemoryDenyWriteExecute=yes\n\
         SystemCallArchitectures=native\n\
         UMask=0077\n\n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        hostname = config.settings.hostname,
    ))
}

/// A path in a unit (systemd.syntax(7)): `%` begins a specifier, blanks and quotes need quotes.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if text.contains([' ', '"', '\\', '\'']) { format!("\"{text}\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_program_files_and_user() {
        let file = Path::new("/srv/my mail/postrider.toml");
        let config = Config::parse(file, "hostname = \"mail.red.example\"\n[limits]\nconnections = 5000\n").unwrap();
        let unit = unit(&config, Path::new("/usr/bin/postrider"), "mail").unwrap();
        let files = format!("LimitNOFILE={}", 5000 + mail::limits::DESCRIPTORS_KEPT);
        for line in [
            "ExecStart=/usr/bin/postrider serve --config \"/srv/my mail/postrider.toml\"",
            "ReadWritePaths=\"/srv/my mail/data\"",
            "User=mail",
            &files,
        ] {
            assert!(unit.lines().any(|written| written == line), "{line}\n{unit}");
        }
        assert_eq!(quoted(Path::new("/a%b")), "/a%%b");
    }
}
