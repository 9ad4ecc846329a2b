//! SPF (RFC 7208): whether a domain says that an address may send mail in its name.
//!
//! Does: `check_host()` with its limits, for HELO and for MAIL FROM. Does not: fetch explanations (`exp=`): nobody is refused by
//! SPF alone, so there is nothing to explain.

use std::net::IpAddr;

use mail::limits;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf, Variables};

use crate::Verdict;
use crate::dns::{Answers, Known, Question, Said, folded, is_name};

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The client's address.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: &'a str,
    /// MAIL FROM, `local@domain`; `None`: null.
    pub from: Option<&'a str>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The result.
    pub verdict: Verdict,
    /// Why, where the result does not say it.
    pub why: &'static str,
    /// The domain that was asked, in lower case.
    pub domain: String,
}

/// Whether the host may call itself so (RFC 7208 §2.3).
///
/// # Errors
/// What DNS must be asked for first.
pub fn helo(sender: Sender<'_>, answers: &Answers) -> Known<Checked> {
    let domain = folded(sender.helo);
    // RFC 7208 §2.4: postmaster stands for a missing local part.
    check(sender, &format!("postmaster@{domain}"), domain, answers)
}

/// Whether the host may send with this MAIL FROM (RFC 7208 §2.4); a null one is HELO's.
///
/// # Errors
/// What DNS must be asked for first.
pub fn mail_from(sender: Sender<'_>, answers: &Answers) -> Known<Checked> {
    let Some(from) = sender.from else { return helo(sender, answers) };
    let (local, domain) = from.rsplit_once('@').unwrap_or(("", from));
    let domain = folded(domain);
    let whole = if local.is_empty() { format!("postmaster@{domain}") } else { format!("{local}@{domain}") };
    check(sender, &whole, domain, answers)
}

fn check(sender: Sender<'_>, from: &str, domain: String, answers: &Answers) -> Known<Checked> {
    let ip = sender.ip.to_canonical();
    let mut host = Host { ip, helo: sender.helo, from, answers, lookups: 0, void: 0 };
    let (verdict, why) = match host.check(&domain) {
        Ok(verdict) => (verdict, ""),
        Err(Stop::Ends(verdict, why)) => (verdict, why),
        Err(Stop::Asks(missing)) => return Err(missing),
    };
    Ok(Checked { verdict, why, domain })
}

/// Why a check does not go on.
enum Stop {
    Ends(Verdict, &'static str),
    Asks(crate::dns::Missing),
}

impl From<crate::dns::Missing> for Stop {
    fn from(missing: crate::dns::Missing) -> Self {
        Self::Asks(missing)
    }
}

const fn bad(why: &'static str) -> Stop {
    Stop::Ends(Verdict::PermError, why)
}

const UNKNOWN: Stop = Stop::Ends(Verdict::TempError, "DNS can't say now");

struct Host<'a> {
    ip: IpAddr,
    helo: &'a str,
    /// With postmaster, where it had no local part.
    from: &'a str,
    answers: &'a Answers,
    /// Terms that asked DNS.
    lookups: usize,
    /// Of them those that found nothing.
    void: usize,
}

impl Host<'_> {
    /// `check_host()` (RFC 7208 §4).
    fn check(&mut self, domain: &str) -> Result<Verdict, Stop> {
        // §4.3
        if !is_name(domain) {
            return Ok(Verdict::None);
        }
        let Some(record) = self.record(domain)? else { return Ok(Verdict::None) };
        for directive in &record.directives {
            if self.matches(&directive.mechanism, domain)? {
                return Ok(match directive.qualifier {
                    Qualifier::Pass => Verdict::Pass,
                    Qualifier::Fail => Verdict::Fail,
                    Qualifier::SoftFail => Verdict::SoftFail,
                    Qualifier::Neutral => Verdict::Neutral,
                });
            }
        }
        // §6.1; §4.7 where there is none.
        let Some(redirect) = &record.redirect else { return Ok(Verdict::Neutral) };
        self.count()?;
        let target = self.target(redirect, domain)?;
        match self.check(&target)? {
            Verdict::None => Err(bad("redirect= leads to no record")),
            verdict => Ok(verdict),
        }
    }

    /// The one record of a domain (§4.4, §4.5).
    fn record(&self, domain: &str) -> Result<Option<Spf>, Stop> {
        let records = match self.answers.get(Question::Txt(domain.to_owned()))? {
            Said::Txt(records) => records,
            Said::Failed => return Err(UNKNOWN),
            _ => return Ok(None),
        };
        let mut ours = records.iter().filter(|record| match record.split_at_checked(6) {
            Some((version, rest)) => {
                version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
            }
            None => false,
        });
        match (ours.next(), ours.next()) {
            (None, _) => Ok(None),
            (Some(record), None) => Spf::parse(record).map(Some).map_err(|_| bad("the record can't be read")),
            (Some(_), Some(_)) => Err(bad("there are several records")),
        }
    }

    /// §4.6.4: a term more that asks DNS.
    const fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > limits::SPF_LOOKUPS { Err(bad("the record asks for too much")) } else { Ok(()) }
    }

    /// An answer for a term; `None`: nothing is there, which is counted (§4.6.4).
    fn ask(&mut self, question: Question) -> Result<Option<&Said>, Stop> {
        match self.answers.get(question)? {
            Said::Failed => Err(UNKNOWN),
            Said::Nothing | Said::NoName => {
                self.void += 1;
                if self.void > limits::SPF_VOID_LOOKUPS {
                    Err(bad("the record asks for what is not there"))
                } else {
                    Ok(None)
                }
            }
            said => Ok(Some(said)),
        }
    }

    fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { addr, mask } => Ok(matches!(self.ip, IpAddr::V4(ip) if same4(ip, *addr, *mask))),
            Mechanism::Ip6 { addr, mask } => Ok(matches!(self.ip, IpAddr::V6(ip) if same6(ip, *addr, *mask))),
            // §5.3
            Mechanism::A { macro_string, ip4_mask, ip6_mask } => {
                self.count()?;
                let target = self.target(macro_string, domain)?;
                self.has_address(target, (*ip4_mask, *ip6_mask))
            }
            // §5.4
            Mechanism::Mx { macro_string, ip4_mask, ip6_mask } => {
                self.count()?;
                let target = self.target(macro_string, domain)?;
                let Some(Said::Names(hosts)) = self.ask_name(target, Question::Mx)? else { return Ok(false) };
                let hosts = hosts.clone();
                if hosts.len() > limits::SPF_NAMES {
                    return Err(bad("the domain has too many mail servers"));
                }
                for host in hosts {
                    if self.has_address(folded(&host), (*ip4_mask, *ip6_mask))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            // §5.2
            Mechanism::Include { macro_string } => {
                self.count()?;
                let target = self.target(macro_string, domain)?;
                match self.check(&target)? {
                    Verdict::Pass => Ok(true),
                    Verdict::None => Err(bad("include: leads to no record")),
                    _ => Ok(false),
                }
            }
            // §5.5
            Mechanism::Ptr { macro_string } => {
                self.count()?;
                let target = self.target(macro_string, domain)?;
                Ok(self.names()?.iter().any(|name| is_below(name, &target)))
            }
            // §5.7: A records, whatever the client's address is.
            Mechanism::Exists { macro_string } => {
                self.count()?;
                let target = self.target(macro_string, domain)?;
                Ok(self.ask_name(target, Question::V4)?.is_some())
            }
        }
    }

    /// Asks about a name that a record made up; what is no name has nothing.
    fn ask_name(&mut self, name: String, question: fn(String) -> Question) -> Result<Option<&Said>, Stop> {
        if is_name(&name) { self.ask(question(name)) } else { Ok(None) }
    }

    fn has_address(&mut self, name: String, (mask4, mask6): (u32, u128)) -> Result<bool, Stop> {
        let ip = self.ip;
        let question = if ip.is_ipv4() { Question::V4 } else { Question::V6 };
        let Some(Said::Addresses(found)) = self.ask_name(name, question)? else { return Ok(false) };
        Ok(found.iter().any(|found| match (ip, found) {
            (IpAddr::V4(ip), IpAddr::V4(found)) => same4(ip, *found, mask4),
            (IpAddr::V6(ip), IpAddr::V6(found)) => same6(ip, *found, mask6),
            _ => false,
        }))
    }

    /// The names of the address that lead back to it (§5.5). What DNS can't say counts as not there.
    fn names(&mut self) -> Result<Vec<String>, Stop> {
        let names = match self.ask(Question::Ptr(self.ip)) {
            Ok(Some(Said::Names(names))) => names.clone(),
            Ok(_) | Err(Stop::Ends(Verdict::TempError, _)) => return Ok(Vec::new()),
            Err(stop) => return Err(stop),
        };
        let mut valid = Vec::new();
        for name in names.iter().take(limits::SPF_NAMES) {
            let name = folded(name);
            match self.has_address(name.clone(), (u32::MAX, u128::MAX)) {
                Ok(true) => valid.push(name),
                Ok(false) | Err(Stop::Ends(Verdict::TempError, _)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(valid)
    }

    /// `domain-spec`, or the domain itself, with its macros (§7).
    fn target(&mut self, spec: &Macro, domain: &str) -> Result<String, Stop> {
        let mut variables = Variables::new();
        variables.set_ip(&self.ip);
        variables.set_sender(self.from.as_bytes());
        variables.set_domain(domain.as_bytes());
        variables.set_helo_domain(self.helo.as_bytes());
        if spec.needs_ptr() {
            // §7.3, `p`: the domain itself before a name in it before any other.
            let names = self.names()?;
            let itself = names.iter().find(|name| *name == domain);
            let best = itself.or_else(|| names.iter().find(|name| is_below(name, domain))).or(names.first());
            variables.set_validated_domain(best.map_or("unknown", String::as_str).as_bytes().to_vec());
        }
        let name = folded(&spec.eval(&variables, domain, false));
        // §7.3: labels go from the left until it fits.
        let mut name = name.as_str();
        while name.len() > limits::DOMAIN_LEN {
            name = name.split_once('.').map_or("", |(_, rest)| rest);
        }
        Ok(name.to_owned())
    }
}

fn same4(one: std::net::Ipv4Addr, other: std::net::Ipv4Addr, mask: u32) -> bool {
    (one.to_bits() ^ other.to_bits()) & mask == 0
}

fn same6(one: std::net::Ipv6Addr, other: std::net::Ipv6Addr, mask: u128) -> bool {
    (one.to_bits() ^ other.to_bits()) & mask == 0
}

/// Whether `name` is `domain` or stands in it.
fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}
