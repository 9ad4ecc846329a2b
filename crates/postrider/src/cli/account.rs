//! `postrider account …`: who has mailboxes here.

use std::io::{IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use mail::Address;
use server::control::{AccountView, Request, Secret};

use super::app_password::AppPassword;
use super::ask::{ask_server, tell};
use super::passkey::Passkey;
use super::table::{moment, size, table};
use super::{Failure, Listing, Outcome, Server, address, print, print_json};

/// Accounts: people and roles with a password and mailboxes. The log-in name is the address.
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Makes an account. Asks for the password twice, or reads it from standard input.
    Add {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: PasswordSource,
        /// The most octets that its mail may take, like 500MiB (default: no quota).
        #[arg(long, value_name = "SIZE", value_parser = quota)]
        quota: Option<u64>,
        /// Keep keys for SCRAM, too: a cheaper target for who steals the store than the password's hash.
        #[arg(long)]
        scram: bool,
    },
    /// Lists the accounts.
    List(Listing),
    /// Shows an account.
    Show {
        #[command(flatten)]
        who: Who,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sets the password. Asks twice, or reads it from standard input.
    Passwd {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: PasswordSource,
        /// Keep keys for SCRAM from now on, or no more (default: as before).
        #[arg(long, value_name = "BOOL")]
        scram: Option<bool>,
    },
    /// Sets the most octets that its mail may take; `none` lifts it.
    Quota {
        #[command(flatten)]
        who: Who,
        /// Like 500MiB, or none.
        #[arg(value_parser = quota_or_none)]
        quota: QuotaOrNone,
    },
    /// Lets it neither receive nor log in; its mail is kept.
    Disable {
        #[command(flatten)]
        who: Who,
    },
    /// Ends what `disable` began.
    Enable {
        #[command(flatten)]
        who: Who,
    },
    /// Gives it another address: its mail stays, and aliases that lead to it lead there. Clients log in by the new one.
    Rename {
        #[command(flatten)]
        who: Who,
        /// The new address.
        #[arg(value_parser = address)]
        to: Address,
        /// Let nobody have the address before (default: it becomes an alias of the new one).
        #[arg(long)]
        forget: bool,
    },
    /// Removes it with all its mail.
    Remove {
        #[command(flatten)]
        who: Who,
    },
    #[command(subcommand)]
    AppPassword(AppPassword),
    #[command(subcommand)]
    Passkey(Passkey),
    #[command(subcommand)]
    Totp(Totp),
}

/// The second factor, which its owner sets up in the browser.
#[derive(Debug, Subcommand)]
pub(crate) enum Totp {
    /// Takes it away with its recovery codes, for who has lost the device and the codes.
    Remove {
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Who {
    /// The account's address.
    #[arg(value_parser = address)]
    pub(super) address: Address,
    #[command(flatten)]
    pub(super) server: Server,
}

#[derive(Args, Debug)]
pub(crate) struct PasswordSource {
    /// Read the password from standard input; one trailing newline is dropped.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct QuotaOrNone(Option<u64>);

fn quota(text: &str) -> Result<u64, String> {
    crate::config::size(text).map(|size| size.0).filter(|size| *size > 0).ok_or_else(|| "write it like 500MiB".into())
}

fn quota_or_none(text: &str) -> Result<QuotaOrNone, String> {
    if text == "none" { Ok(QuotaOrNone(None)) } else { quota(text).map(|quota| QuotaOrNone(Some(quota))) }
}

impl Account {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Add { who: Who { address, server }, password, quota, scram } => {
                let config = server.load()?;
                let password = password.read(&address)?;
                tell(&config, Request::AccountAdd { address, password, quota, scram }).await
            }
            Self::Passwd { who: Who { address, server }, password, scram } => {
                let config = server.load()?;
                let password = password.read(&address)?;
                tell(&config, Request::AccountPassword { address, password, scram }).await
            }
            Self::Quota { who: Who { address, server }, quota } => {
                tell(&server.load()?, Request::AccountQuota { address, quota: quota.0 }).await
            }
            Self::Disable { who } => set_state(who, true).await,
            Self::Enable { who } => set_state(who, false).await,
            Self::Rename { who: Who { address, server }, to, forget } => {
                tell(&server.load()?, Request::AccountRename { address, to, keep: !forget }).await
            }
            Self::Remove { who: Who { address, server } } => {
                tell(&server.load()?, Request::AccountRemove { address }).await
            }
            Self::Show { who: Who { address, server }, json } => {
                let (account, _) = ask_server(&server.load()?, Request::AccountShow { address }).await?;
                if json {
                    return print_json(&account);
                }
                show(&account);
                Ok(())
            }
            Self::List(listing) => listing.show(Request::AccountList, list).await,
            Self::AppPassword(command) => command.run().await,
            Self::Passkey(command) => command.run().await,
            Self::Totp(Totp::Remove { who: Who { address, server } }) => {
                tell(&server.load()?, Request::TotpRemove { address }).await
            }
        }
    }
}

async fn set_state(who: Who, disabled: bool) -> Outcome {
    tell(&who.server.load()?, Request::AccountState { address: who.address, disabled }).await
}

fn quota_shown(account: &AccountView) -> String {
    account.quota.map_or_else(|| "none".into(), size)
}

fn list(accounts: &[AccountView]) -> String {
    let row = |account: &AccountView| {
        vec![
            account.address.clone(),
            account.state.clone(),
            account.messages.to_string(),
            size(account.used),
            quota_shown(account),
        ]
    };
    table(&["ADDRESS", "STATE", "MESSAGES", "SIZE", "QUOTA"], &accounts.iter().map(row).collect::<Vec<_>>())
}

fn show(account: &AccountView) {
    print(&format!("address:   {}", account.address));
    print(&format!("state:     {}", account.state));
    print(&format!("messages:  {}", account.messages));
    print(&format!("size:      {}", size(account.used)));
    print(&format!("quota:     {}", quota_shown(account)));
    print(&format!("made:      {} UTC", moment(account.created)));
    print(&format!("SCRAM:     {}", if account.scram { "keys are kept" } else { "no keys are kept" }));
    print(&format!("TOTP:      {}", if account.second_factor { "on: programs need app passwords" } else { "off" }));
}

impl PasswordSource {
    fn read(&self, address: &Address) -> Result<Secret, Failure> {
        let password = if self.password_stdin { from_stdin()? } else { from_terminal(address)? };
        if password.is_empty() {
            return Err(Failure("the password is empty".into()));
        }
        if password.chars().any(char::is_control) {
            return Err(Failure("the password has a control character, which no mail client can send".into()));
        }
        if server::is_weak(&password, address) {
            eprintln!(
                "postrider: warning: this password is easy to guess; 12 or more characters that mean nothing are better"
            );
        }
        Ok(Secret(password))
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure(format!("the password can't be read from standard input: {error}")))?;
    Ok(without_newline(&text).to_owned())
}

/// Without one trailing newline.
fn without_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

fn from_terminal(address: &Address) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure("there is no terminal to ask for the password; use --password-stdin".into()));
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt).map_err(|error| Failure(format!("the password can't be read: {error}")))
    };
    let first = ask(format!("New password for {address}: "))?;
    let second = ask("The same again: ".into())?;
    if first == second { Ok(first) } else { Err(Failure("the two passwords differ; nothing was changed".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_dropped_and_no_more() {
        assert_eq!(without_newline("a b\n"), "a b");
        assert_eq!(without_newline("a\r\n"), "a");
        assert_eq!(without_newline("a\n\n"), "a\n");
        assert_eq!(without_newline(" a "), " a ");
    }
}
