//! The webmail: the files of `webmail/`, which are in the program (build.rs).
//!
//! Does: answer with a file, packed where the browser takes that, or say that the one it has is current. A browser asks each
//! time, so a new version is there at once. Does not: know what is in the files.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH, LINK,
    VARY, X_FRAME_OPTIONS,
};

use super::reply::{self, Response};
use super::request::Request;

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    path: &'static str,
    kind: &'static str,
    /// The same for the file as it is and packed, so a weak one (RFC 9110 §8.8.1).
    tag: &'static str,
    plain: &'static [u8],
    packed: &'static [u8],
}

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/webmail.rs"));

/// What the page may: nothing inline, nothing from elsewhere (docs/webmail.md). `frame-ancestors` is added.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
                      frame-src 'self' blob:; worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; \
                      require-trusted-types-for 'script'; trusted-types postrider; frame-ancestors ";

/// What comes with the page (RFC 8288): the session, what main.js imports, and, where nothing else is on its way, what app.js does, which
/// it asks for. Found one by one, each step would take a way to the server.
static BEGINNING: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let mut links = vec!["</.well-known/jmap>; rel=preload; as=fetch; crossorigin".to_owned()];
    let mut named = Vec::new();
    for (first, priority) in [("main.js", ""), ("app.js", "; fetchpriority=low")] {
        let mut at = named.len();
        named.push(first);
        while let Some(name) = named.get(at) {
            links.push(format!("<src/{name}>; rel=modulepreload{priority}"));
            let asset = Asset::find(&format!("src/{name}"));
            let text = asset.map_or("", |asset| str::from_utf8(asset.plain).unwrap_or_default());
            for rest in text.split(" from './").skip(1) {
                let imported = rest.split('\'').next().unwrap_or_default();
                if !named.contains(&imported) {
                    named.push(imported);
                }
            }
            at += 1;
        }
    }
    links.join(", ").parse().ok()
});

impl Asset {
    /// The file of a path without its first slash; the page itself is at the empty one.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let name = match path {
            "" => "index.html",
            // It has one address.
            "index.html" => return None,
            other => other,
        };
        ASSETS.iter().find(|asset| asset.path == name)
    }
}

/// `GET /`, `GET /src/…`, …
pub(super) fn show(request: &Request, asset: &'static Asset) -> Response {
    let packed = accepts_gzip(request.header(ACCEPT_ENCODING).unwrap_or_default());
    let mut response = if has(request.header(IF_NONE_MATCH).unwrap_or_default(), asset.tag) {
        let mut response = reply::done();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        reply::of(StatusCode::OK, asset.kind, if packed { asset.packed } else { asset.plain })
    };
    let unchanged = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if packed && !unchanged {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(ETAG, HeaderValue::from_static(asset.tag));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // RFC 9111 §5.2.2.4: kept, but asked about each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let (true, Some(modules)) = (asset.path == "index.html", BEGINNING.as_ref()) {
        headers.insert(LINK, modules.clone());
    }
    let frames = request.settings.local.framed_by.as_deref();
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY}{}", frames.unwrap_or("'none'"))) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if frames.is_some() {
        // It knows no origin of others; where the policy above is obeyed it is of no matter.
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    }
    response
}

/// RFC 9110 §12.5.3: named, or by a star, and not with the weight 0.
fn accepts_gzip(accepted: &str) -> bool {
    let weight = |coding: &str| {
        accepted.split(',').find_map(|one| {
            let (name, rest) = one.split_once(';').unwrap_or((one, ""));
            let zero = rest.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
            name.trim().eq_ignore_ascii_case(coding).then_some(!zero)
        })
    };
    weight("gzip").or_else(|| weight("*")).unwrap_or(false)
}

/// RFC 9110 §13.1.2, compared weakly: the browser has it.
fn has(tags: &str, tag: &str) -> bool {
    let bare = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*" || tags.split(',').any(|known| bare(known) == bare(tag))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn the_page_is_whole_and_its_tests_are_not_in_it() {
        for path in ["", "style.css", "frame.css", "sw.js", "icon.svg", "app.webmanifest", "src/main.js", "src/app.js"]
        {
            assert!(Asset::find(path).is_some(), "{path}");
        }
        for path in
            ["index.html", "test", "tests/server.py", "tests/unit/page.html", "src", "src/", "/", "src/../style.css"]
        {
            assert!(Asset::find(path).is_none(), "{path}");
        }
        assert!(ASSETS.iter().all(|asset| !asset.path.contains("test")));
    }

    #[test]
    fn packed_is_the_same() {
        for asset in ASSETS {
            let mut unpacked = Vec::new();
            GzDecoder::new(asset.packed).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == asset.plain, "{}", asset.path);
        }
    }

    /// The worker keeps all of the page and no other, under a name that changes with any of it.
    #[test]
    fn the_service_worker_knows_the_files() {
        let worker = std::str::from_utf8(Asset::find("sw.js").unwrap().plain).unwrap();
        assert!(!worker.contains("'VERSION'"));
        for asset in ASSETS.iter().filter(|asset| !["sw.js", "index.html"].contains(&asset.path)) {
            assert!(worker.contains(&format!("\"{}\"", asset.path)), "{}", asset.path);
        }
        assert!(worker.contains("\"./\""));
    }

    /// What is named is there: all that the list needs, and no more.
    #[test]
    fn the_page_says_what_it_begins_with() {
        let named = BEGINNING.as_ref().unwrap().to_str().unwrap();
        let modules: Vec<_> =
            named.split(", ").skip(1).map(|one| one.split_once(">; rel=modulepreload").unwrap()).collect();
        assert!(modules.iter().all(|(name, _)| Asset::find(&name[1..]).is_some()), "{named}");
        let low = "; fetchpriority=low";
        for (name, priority) in
            [("main", Some("")), ("view", Some("")), ("app", Some(low)), ("rows", Some(low)), ("compose", None)]
        {
            let found = modules.iter().find(|(module, _)| *module == format!("<src/{name}.js"));
            assert_eq!(found.map(|(_, priority)| *priority), priority, "{name}");
        }
    }

    #[test]
    fn conditions_of_requests() {
        for (accepted, gzip) in [
            ("", false),
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("*", true),
            ("*, gzip;q=0.0", false),
            ("br", false),
        ] {
            assert_eq!(accepts_gzip(accepted), gzip, "{accepted}");
        }
        for (tags, known) in [("", false), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false)] {
            assert_eq!(has(tags, "W/\"a\""), known, "{tags}");
        }
    }
}
