//! `postrider init`: a new server in a new or empty folder. Asks nothing.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use mail::{Address, Domain};
use server::SystemClock;
use server::control::{Context, Request, execute};
use store::Store as _;
use store_local::{LocalStore, Options};

use super::{Failure, Outcome, address, domain, print};
use crate::config::Config;

/// Makes a new server: a folder with its configuration, its store and a certificate to begin with.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// A new or an empty folder.
    dir: PathBuf,
    /// The server's name, as in its MX record.
    #[arg(long, value_parser = host)]
    hostname: Domain,
    /// The domain that it receives mail for.
    #[arg(long, value_parser = domain)]
    domain: Domain,
    /// Who gets mail to postmaster and abuse (default: the first account).
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    admin: Option<Address>,
}

fn host(text: &str) -> Result<Domain, String> {
    let name = domain(text)?;
    if name.as_ip().is_some() { Err("a name is needed, not an address".into()) } else { Ok(name) }
}

impl Init {
    pub(super) async fn run(self) -> Outcome {
        let dir = &self.dir;
        let failed = |error: std::io::Error| Failure(format!("{} can't be made: {error}", dir.display()));
        let is_empty = match std::fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir).map_err(failed)?;
                true
            }
            Err(error) => return Err(failed(error)),
        };
        if !is_empty {
            return Err(Failure(format!("{} is not empty; init needs a new or an empty folder", dir.display())));
        }
        certificate(dir, &self.hostname, &self.domain)?;
        let file = dir.join("postrider.toml");
        let text = configuration(&self.hostname);
        let config = Config::parse(&file, &text)?;
        make_store(config, &self.domain, self.admin.as_ref()).await?;
        // Last, so that a folder with a configuration is whole.
        std::fs::write(&file, text).map_err(failed)?;
        self.say_what_next();
        Ok(())
    }

    fn say_what_next(&self) {
        let file = self.dir.join("postrider.toml");
        let file = file.display();
        print(&format!("Made {file}, a store for {} and a self-signed certificate.", self.domain));
        print("What comes next:");
        print(&format!("  postrider account add you@{} --config {file}", self.domain));
        print(&format!("  postrider check --config {file}"));
        print(&format!("  postrider serve --config {file}            (or as a service: postrider systemd)"));
        print(&format!("  postrider doctor --zone --config {file}    (the records that DNS should have)"));
        print(&format!("  postrider doctor --config {file}           (what is right, and what is not)"));
        print("Mail clients will warn of the certificate until there is one from a CA: see [acme] in that file.");
        print("docs/install.md has all steps for a new host.");
    }
}

/// Makes a store with a domain; postmaster and abuse go to `admin`, where there is one.
async fn make_store(config: Config, domain: &Domain, admin: Option<&Address>) -> Result<(), Failure> {
    let data = &config.data_dir;
    // For its owner alone: it holds everybody's mail.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|error| Failure(format!("{} can't be made: {error}", data.display())))?;
    let store = LocalStore::open(data, Options::default()).map_err(|error| super::ask::explain(&error))?;
    let context = Context::alone(store.clone(), Arc::new(SystemClock), config.settings);
    let mut requests = vec![Request::DomainAdd { domain: domain.clone(), same_as: None }];
    if let Some(admin) = admin {
        for role in ["postmaster", "abuse"] {
            let alias = address(&format!("{role}@{domain}"))?;
            if alias != admin.folded() {
                requests.push(Request::AliasAdd { alias, targets: vec![admin.clone()] });
            }
        }
    }
    let mut result = Ok(());
    for request in requests {
        if result.is_ok() {
            result = execute(&context, request).await.map(|_| ());
        }
    }
    store.close().await;
    Ok(result?)
}

/// A self-signed certificate, so that TLS is on from the start.
fn certificate(dir: &Path, hostname: &Domain, domain: &Domain) -> Outcome {
    let failed = |error: &dyn std::fmt::Display| Failure(format!("no certificate can be made: {error}"));
    let mut names = vec![hostname.to_string(), domain.to_string(), "localhost".into()];
    names.retain(|name| !name.starts_with('['));
    names.dedup();
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(&error))?;
    let tls = dir.join("tls");
    DirBuilder::new().recursive(true).mode(0o700).create(&tls).map_err(|error| failed(&error))?;
    std::fs::write(tls.join("fullchain.pem"), made.cert.pem()).map_err(|error| failed(&error))?;
    let key = OpenOptions::new().write(true).create_new(true).mode(0o600).open(tls.join("key.pem"));
    key.and_then(|mut key| key.write_all(made.signing_key.serialize_pem().as_bytes())).map_err(|error| failed(&error))
}

fn configuration(hostname: &Domain) -> String {
    format!(
        "# A mail server, made by \"postrider init\". docs/configuration.md has every key with its default;\n\
         # \"postrider check\" says what is wrong with this file. Paths are relative to it.\n\n\
         hostname = \"{hostname}\"\n\
         data_dir = \"data\"\n\n\
         [listen]                            # lists of address:port; an absent one is off\n\
         smtp = [\"[::]:25\"]                  # mail from other servers\n\
         submission = [\"[::]:587\"]           # mail from users, STARTTLS\n\
         submissions = [\"[::]:465\"]          # the same, TLS from the start\n\
         pop3 = [\"[::]:110\"]\n\
         pop3s = [\"[::]:995\"]\n\
         imap = [\"[::]:143\"]\n\
         imaps = [\"[::]:993\"]\n\
         sieve = [\"[::]:4190\"]             # filters, STARTTLS\n\
         http = [\"127.0.0.1:8080\"]           # health and metrics\n\
         https = [\"[::]:443\"]               # log-in for people, settings for mail clients\n\n\
         [tls]                               # self-signed; put your CA's certificate here\n\
         certificate = \"tls/fullchain.pem\"\n\
         key = \"tls/key.pem\"\n\n\
         #[acme]                             # or let certificates come by themselves, from Let's Encrypt\n\
         #agree_to_terms = true              # once you have read its terms\n\n\
         #[doctor]                           # for \"postrider doctor\"\n\
         #reach = \"gmail.com\"                # whose port 25 it may connect to, to see whether mail can leave\n"
    )
}
