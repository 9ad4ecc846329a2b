//! What `local` tells people: accounts, ports and commands to paste, for the terminal and as a page.
//!
//! Does: makes text and HTML from the [`Plan`]. Does not: print, serve or look anything up. The
//! commands' texts are an interface of their own: the end-to-end tests run them as they are printed.

use std::fmt::Write as _;
use std::path::Path;

use crate::misbehave;
use crate::plan::{DOWN, PEOPLE, Plan, System};

/// A command to paste, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// In a few words.
    pub what: &'static str,
    /// For a shell.
    pub line: String,
}

/// Makes the texts.
#[derive(Clone, Debug)]
pub struct Guide<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// How to call this program from a shell, quoted where needed.
    pub program: &'a str,
    /// Whether mail for every address is taken.
    pub catch_all: bool,
}

/// A path for a shell: quoted where it has to be.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Guide<'_> {
    fn ca(&self) -> String {
        shell(&self.plan.dir.join("ca.pem"))
    }

    /// Commands to paste, in the order in which a newcomer tries them: alice at red writes to bob at blue.
    pub fn commands(&self) -> Vec<Command> {
        let [red, blue] = self.plan.systems;
        let (program, ca, dir) = (self.program, self.ca(), shell(&self.plan.dir));
        let command = |what, line| Command { what, line };
        vec![
            command(
                "send a mail from alice to bob",
                format!(
                    "echo 'Hello Bob!' | POSTRIDER_PASSWORD=alice {program} mail send --server smtp://{} --ca {ca} \
                     --user alice@red.example --to bob@blue.example --subject Hello",
                    red.submission(),
                ),
            ),
            command(
                "bob's mail over IMAP, and the first message of it",
                format!(
                    "POSTRIDER_PASSWORD=bob {program} mail list --server imaps://{} --ca {ca} --user bob@blue.example\n\
                     POSTRIDER_PASSWORD=bob {program} mail read --server pop3s://{} --ca {ca} --user bob@blue.example 1",
                    blue.imaps(),
                    blue.pop3s(),
                ),
            ),
            command(
                "where alice's mail went, through both systems",
                format!("{program} trace alice@red.example --dir {dir}"),
            ),
            command(
                "watch bob's inbox; stop with Ctrl-C",
                format!(
                    "POSTRIDER_PASSWORD=bob {program} mail watch --server imaps://{} --ca {ca} --user bob@blue.example",
                    blue.imaps(),
                ),
            ),
            command(
                "the same with programs that others wrote",
                format!(
                    "swaks --server {} --tls --auth PLAIN --auth-user alice@red.example --auth-password alice \
                     --from alice@red.example --to bob@blue.example --header 'Subject: Hello from swaks'\n\
                     curl --cacert {ca} --user bob@blue.example:bob 'imaps://localhost:{}/INBOX;MAILINDEX=1'",
                    red.submission(),
                    blue.imaps().port(),
                ),
            ),
            command(
                "any other command, on one of the systems",
                format!("{program} queue list --config {}", shell(&self.plan.config_file(red))),
            ),
        ]
    }

    /// What `local` prints when all is up.
    pub fn banner(&self) -> String {
        let [red, blue] = self.plan.systems;
        let mut text = format!(
            "Postrider's small internet is up, in {}. Ctrl-C stops it; the mail stays.\n\n",
            self.plan.dir.display()
        );
        let _ = writeln!(text, "  {:<22}{:<28}{:<28}", "", red.domain, blue.domain);
        for person in PEOPLE {
            let (at_red, at_blue) = (format!("{person}@{}", red.domain), format!("{person}@{}", blue.domain));
            let _ = writeln!(text, "  {:<22}{at_red:<28}{at_blue:<28}", format!("password {person}"));
        }
        for (name, at) in PORTS {
            let _ = writeln!(text, "  {name:<22}{:<28}{:<28}", at(red).to_string(), at(blue).to_string());
        }
        let page = |system: System| format!("http://{}/", system.http());
        let _ = writeln!(text, "  {:<22}{:<28}{:<28}", "webmail", page(red), page(blue));
        let _ = writeln!(text, "\n  Open this in a browser: {}local/both   alice and bob, side by side", page(red));
        let _ = writeln!(text, "\n  DNS {}   CA to trust: {}\n", self.plan.dns(), self.ca());
        for command in self.commands() {
            let _ = writeln!(text, "# {}\n{}\n", command.what, command.line);
        }
        for line in self.notes() {
            let _ = writeln!(text, "# {line}");
        }
        text
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!(
                "Recipients that misbehave, in both domains: {}@, and anyone@{DOWN}.",
                misbehave::NAMES.join("@, ")
            ),
            "A first retry comes after 2 s.".to_owned(),
        ];
        if self.catch_all {
            notes.push("--catch-all: mail for any other address stays here, with alice at red and bob at blue.".into());
        }
        notes
    }

    /// The page at `/local` of a system.
    pub fn page(&self, system: System) -> String {
        let other = self.plan.systems.into_iter().find(|other| *other != system).unwrap_or(system);
        let mut body = format!(
            "<p class=lead>This is the mail server of <b>{0}</b>, one of two that <code>postrider local</code> runs on this \
             machine. The other is <a href=\"http://{2}/\">{1}</a>. They reach each other as servers on the internet do, \
             and nothing leaves this machine.</p>\n",
            system.domain,
            other.domain,
            other.http(),
        );
        body += "<h2>People</h2>\n<table><tr><th>address and log-in name</th><th>password</th></tr>\n";
        for person in PEOPLE {
            let _ = writeln!(body, "<tr><td>{person}@{}</td><td>{person}</td></tr>", system.domain);
        }
        body += "</table>\n<h2>Settings for a mail client</h2>\n<table>\n<tr><th></th><th>host</th><th>port</th><th>security</th></tr>\n";
        for (what, address, security) in [
            ("IMAP", system.imaps(), "TLS"),
            ("IMAP", system.imap(), "STARTTLS or none"),
            ("POP3", system.pop3s(), "TLS"),
            ("POP3", system.pop3(), "STARTTLS or none"),
            ("SMTP to send", system.submissions(), "TLS"),
            ("SMTP to send", system.submission(), "STARTTLS"),
        ] {
            let port = address.port();
            let _ = writeln!(body, "<tr><td>{what}</td><td>localhost</td><td>{port}</td><td>{security}</td></tr>");
        }
        let _ = writeln!(
            body,
            "</table>\n<p>The certificates are signed by a throw-away authority: let the client trust <code>{}</code>, or accept \
             the certificate when it asks. Other servers deliver on port {}.</p>\n<h2>Try it</h2>",
            escape(&self.plan.dir.join("ca.pem").display().to_string()),
            system.smtp().port(),
        );
        for command in self.commands() {
            let _ = writeln!(body, "<h3>{}</h3>\n<pre>{}</pre>", escape(command.what), escape(&command.line));
        }
        body += "<h2>Recipients that misbehave on purpose</h2>\n<table>\n";
        let domain = system.domain;
        for (who, what) in [
            (format!("later@{domain}"), "refused for now (451), taken at the next try"),
            (format!("refused@{domain}"), "refused for good (550)"),
            (format!("full@{domain}"), "its mailbox is full (452), always"),
            (format!("slow@{domain}"), "the answer to the message comes after 5 s"),
            (format!("cut@{domain}"), "the connection drops after the message, the first time"),
            (format!("anyone@{DOWN}"), "its server answers nothing"),
        ] {
            let _ = writeln!(body, "<tr><td>{who}</td><td>{what}</td></tr>");
        }
        let _ = writeln!(body, "</table>\n<p>They act between servers: write to them from {}.</p>", other.domain);
        if self.catch_all {
            let _ = writeln!(
                body,
                "<p>Mail for any other address, whatever its domain, stays here: {}@{domain} gets it.</p>",
                system.resident
            );
        }
        body += "<h2>This server</h2>\n<p><a href=\"/healthz\">health</a> · <a href=\"/metrics\">metrics</a></p>\n";
        PAGE.replace("{title}", domain).replace("{body}", &body)
    }
}

type Port = (&'static str, fn(System) -> std::net::SocketAddr);

/// Listeners in the order in which people look for them.
const PORTS: [Port; 7] = [
    ("submission, STARTTLS", |system| system.submission()),
    ("submission, TLS", |system| system.submissions()),
    ("IMAP", |system| system.imap()),
    ("IMAP, TLS", |system| system.imaps()),
    ("POP3", |system| system.pop3()),
    ("POP3, TLS", |system| system.pop3s()),
    ("SMTP between servers", |system| system.smtp()),
];

/// The page's frame: no script, nothing from elsewhere.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – Postrider</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0b62c4; }
@media (prefers-color-scheme: dark) { :root { --link: #7db7ff; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 1.1rem 0 .3rem; }
a { color: var(--link); } .lead { font-size: 1.05rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; font-size: .9rem; }
code, pre { font: .87rem/1.5 ui-monospace, monospace; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; margin: 0;
      white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{title}</h1>
{body}</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PORT_BASE;

    fn plan(dir: &str) -> Plan {
        Plan::new(Path::new(dir), PORT_BASE).unwrap()
    }

    #[test]
    fn banner_names_accounts_ports_and_commands() {
        let plan = plan("./postrider-local");
        let text = Guide { plan: &plan, program: "postrider", catch_all: false }.banner();
        for expected in [
            "alice@red.example",
            "bob@blue.example",
            "127.0.0.1:42587",
            "127.0.0.1:43995",
            "http://127.0.0.1:42080/",
            "./postrider-local/ca.pem",
            "postrider trace alice@red.example --dir ./postrider-local",
            "later@",
            "down.example",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn paths_are_quoted_for_shells_and_escaped_for_pages() {
        assert_eq!(shell(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell(Path::new("it's here")), r"'it'\''s here'");
        let plan = plan("<b>&");
        let guide = Guide { plan: &plan, program: "postrider", catch_all: true };
        let page = guide.page(plan.systems[1]);
        assert!(page.contains("&lt;b&gt;&amp;/ca.pem") && !page.contains("<b>&/ca.pem"));
        assert!(page.contains("http://127.0.0.1:42080/") && page.contains("bob@blue.example gets it"));
    }
}
