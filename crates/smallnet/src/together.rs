//! What `local` shows in a browser: a page for each system, and one with both webmails side by side and the way of a mail between
//! them.
//!
//! Does: makes the pages ([`pages`]) with their policies. Does not: serve them, or know any mail: each system's half of a way is asked for by
//! the browser, of that system and with its own cookie, in a frame without a face (`together/half.js`), which hands it to the page
//! with both (`together/both.js`), and to no other origin; that draws it with the webmail's own `src/way.js`.

use std::net::SocketAddr;

use crate::guide::Guide;
use crate::plan::System;

/// A page below `/local`, or what belongs to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name there; empty: `/local` itself.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What it is.
    pub content: String,
    /// Its Content-Security-Policy.
    pub policy: String,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What all of them may: nothing but what is added.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'";
/// Scripts of files of this server alone, which make no HTML of text.
const SCRIPTS: &str = "script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The pages of a system. That with both webmails is the first system's.
pub fn pages(guide: &Guide<'_>, system: System) -> Vec<Page> {
    let [red, blue] = guide.plan.systems.map(|system| origin(system.http()));
    let page =
        |name, kind, content: String, more: &str| Page { name, kind, content, policy: format!("{NOTHING}; {more}") };
    let file = |name, kind, content: &str| page(name, kind, content.to_owned(), "frame-ancestors 'none'");
    let half = format!("{SCRIPTS}; connect-src 'self'; frame-ancestors {red}");
    let mut pages = vec![
        page("", HTML, guide.page(system), "style-src 'unsafe-inline'; frame-ancestors 'none'"),
        page("half", HTML, HALF.replace("{to}", &red), &half),
        file("half.js", SCRIPT, include_str!("together/half.js")),
    ];
    if system == guide.plan.systems[0] {
        let both =
            format!("{SCRIPTS}; style-src 'self'; img-src 'self'; frame-src {red} {blue}; frame-ancestors 'none'");
        pages.extend([
            page("both", HTML, both_webmails(guide), &both),
            file("both.css", CSS, include_str!("together/both.css")),
            file("both.js", SCRIPT, include_str!("together/both.js")),
        ]);
    }
    pages
}

/// The origin of a system's pages.
fn origin(http: SocketAddr) -> String {
    format!("http://{http}")
}

/// The page with both webmails, alice's at red and bob's at blue, logged in, and between them the way of the last mail.
fn both_webmails(guide: &Guide<'_>) -> String {
    let side = |system: System| {
        let (who, domain, at) = (system.resident, system.domain, origin(system.http()));
        format!(
            "<section>\n<h1>{who}@{domain} <small><a href=\"{at}/local\">this server</a></small></h1>\n\
             <iframe src=\"{at}/local/in\" title=\"The webmail of {who}\"></iframe>\n\
             <iframe src=\"{at}/local/half\" class=\"half\" hidden></iframe>\n</section>\n"
        )
    };
    let [red, blue] = guide.plan.systems;
    let middle = format!(
        "<aside>\n<div id=\"journey\"><p>Write from one side to the other, <b>{}@{}</b> to <b>{}@{}</b>, and watch here how the \
         mail travels.</p></div>\n<p id=\"told\" class=\"unseen\" role=\"status\"></p>\n</aside>\n",
        red.resident, red.domain, blue.resident, blue.domain
    );
    BOTH.replace("{body}", &[side(red), middle, side(blue)].concat())
}

/// Both webmails: side by side, below each other on a narrow screen.
const BOTH: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>alice and bob – Postrider</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
<link rel="stylesheet" href="/journey.css">
<link rel="stylesheet" href="/local/both.css">
<script type="module" src="/local/both.js"></script>
</head>
<body>
{body}</body>
</html>
"#;

/// One system's half of the way; nobody looks at it.
const HALF: &str = r#"<!doctype html>
<html lang="en" data-to="{to}">
<head>
<meta charset="utf-8">
<title>Journeys</title>
<script type="module" src="/local/half.js"></script>
</head>
</html>
"#;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::{PORT_BASE, Plan};

    #[test]
    fn the_half_of_each_system_is_for_the_page_with_both_alone() {
        let plan = Plan::new(Path::new("net"), PORT_BASE).unwrap();
        let guide = Guide { plan: &plan, program: "postrider", catch_all: false };
        let [red, blue] = plan.systems.map(|system| pages(&guide, system));
        let named = |pages: &[Page], name: &str| pages.iter().find(|page| page.name == name).cloned();
        for pages in [&red, &blue] {
            let half = named(pages, "half").unwrap();
            assert!(half.content.contains("data-to=\"http://127.0.0.1:42080\""), "{}", half.content);
            assert!(
                half.policy.ends_with("connect-src 'self'; frame-ancestors http://127.0.0.1:42080"),
                "{}",
                half.policy
            );
            assert!(named(pages, "half.js").is_some());
            for page in pages.iter().filter(|page| page.name != "half") {
                assert!(page.policy.ends_with("frame-ancestors 'none'"), "{}", page.policy);
            }
        }
        let both = named(&red, "both").unwrap();
        for at in ["http://127.0.0.1:42080", "http://127.0.0.1:43080"] {
            assert!(both.content.contains(&format!("<iframe src=\"{at}/local/half\"")), "{}", both.content);
        }
        assert!(both.policy.contains("frame-src http://127.0.0.1:42080 http://127.0.0.1:43080;"), "{}", both.policy);
        assert_eq!(named(&blue, "both"), None);
    }
}
