//! URLs of the standards, and any others.

use proptest::prelude::*;

use super::super::fetch::Text;
use super::*;

#[test]
fn urls_of_the_standards() {
    // RFC 4469 §5
    let url = MessageUrl::read(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER").unwrap();
    assert_eq!((url.mailbox.as_str(), url.uid_validity, url.uid), ("Drafts", Some(385_759_045), 20));
    assert_eq!(url.section.unwrap().text, Text::Header);
    // RFC 5092 §7
    let url =
        MessageUrl::read(b"imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024");
    let url = url.unwrap();
    assert_eq!(url.authority.unwrap().host, "minbari.example.org");
    assert_eq!(url.section.unwrap().partial, Some((0, 1024)));
    let url = MessageUrl::read(b"IMAP://joe%40x;AUTH=*@host:993/a%2Fb%20%C3%A4/;UID=1/;SECTION=1.2").unwrap();
    assert_eq!(url.authority.unwrap(), Authority { user: Some("joe@x".into()), host: "host".into() });
    assert_eq!((url.mailbox.as_str(), url.section.unwrap().path.as_slice()), ("a/b ä", &[1, 2][..]));
    assert_eq!(MessageUrl::read(b"/inbox/;UID=7").unwrap().mailbox, "INBOX");
    assert_eq!(MessageUrl::read(b"imap://[::1]:143/a/;UID=7").unwrap().authority.unwrap().host, "[::1]");
    for bad in [
        &b""[..],
        b"/",
        b"INBOX/;UID=1",
        b"/INBOX",
        b"/INBOX/;UID=0",
        b"/INBOX/;UID=x",
        b"/INBOX/;UID=1/;UID=2",
        b"/INBOX/;UID=1/;SECTION=XYZ",
        b"/INBOX/;UID=1/;SECTION=1]x",
        b"/INBOX;X=1/;UID=1",
        b"/%zz/;UID=1",
        b"/%ff/;UID=1",
        b"/a/;UID=1/;URLAUTH=anonymous",
        b"http://x/INBOX/;UID=1",
        b"/a;UIDVALIDITY=0/;UID=1",
        b"/a/;UID=1/;SECTION=",
        b"imap:///a/;UID=1",
        b"imap://h:1:2/a/;UID=1",
        b"imap://[::1/a/;UID=1",
        b"imap://[::1]x/a/;UID=1",
        b"/a/;UID=1?ALL",
        b"/a/;UID=1#b",
        b"/a\r\n/;UID=1",
    ] {
        assert!(MessageUrl::read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn urls_that_say_who_may_follow_them() {
    // RFC 4467 §7, in the form of RFC 5092 §7
    let url = b"imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred:internal:91354a473744909de610943775f92038";
    let read = MessageUrl::read(url).unwrap();
    let authorization = read.authorization.unwrap();
    assert_eq!(authorization.access, Access::Submit("fred".into()));
    assert_eq!(authorization.verifier.unwrap().mechanism, "INTERNAL");
    assert_eq!(
        MessageUrl::rump(url),
        Some(&b"imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred"[..])
    );
    let url = b"/a/;UID=1/;PARTIAL=0.9;EXPIRE=2026-12-31T23:59:59Z;URLAUTH=USER+a%40x";
    let authorization = MessageUrl::read(url).unwrap().authorization.unwrap();
    assert_eq!(authorization.expire.as_deref(), Some("2026-12-31T23:59:59Z"));
    assert_eq!((authorization.access, authorization.verifier), (Access::User("a@x".into()), None));
    let token = "0".repeat(32);
    for good in ["anonymous", "AuthUser", "user+x", "submit+%C3%A4", "anonymous:X-1.2:00000000000000000000000000000000"]
    {
        assert!(MessageUrl::read(format!("/a/;UID=1;URLAUTH={good}").as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "nobody",
        "user+",
        "submit+",
        "user+a;b",
        "user+a@b",
        "authuser+a",
        "anonymous:",
        "anonymous:INTERNAL",
        "anonymous:INTERNAL:",
        "anonymous:INTERNAL:00",
        &format!("anonymous::{token}"),
        &format!("anonymous:A_B:{token}"),
        &format!("anonymous:INTERNAL:{token}g"),
        &format!("anonymous:INTERNAL:{token}:"),
        "anonymous;EXPIRE=2026-12-31T23:59:59Z",
    ] {
        assert!(MessageUrl::read(format!("/a/;UID=1;URLAUTH={bad}").as_bytes()).is_err(), "{bad}");
    }
    assert!(MessageUrl::read(b"/a/;UID=1;EXPIRE=x;URLAUTH=anonymous").is_err());
    assert!(MessageUrl::read(b"/a/;UID=1;EXPIRE=2026-12-31T23:59:59Z").is_err());
    assert!(MessageUrl::read(b"/a;URLAUTH=anonymous").is_err());
}

fn section() -> impl Strategy<Value = Option<Section>> {
    let text = prop_oneof![
        Just(Text::Whole),
        Just(Text::Header),
        Just(Text::Text),
        proptest::collection::vec("[A-Za-z-]{1,9}", 1..3)
            .prop_map(|names| Text::Fields(names.into_iter().map(String::into_bytes).collect())),
    ];
    let partial = proptest::option::of((0..=u64::from(u32::MAX), prop_oneof![1..=u64::from(u32::MAX), Just(u64::MAX)]));
    let section = (proptest::collection::vec(1u32.., 0..4), text, partial);
    proptest::option::of(section.prop_map(|(path, text, partial)| Section { path, text, partial, ..Section::whole() }))
        // The whole message is what is meant where nothing is said.
        .prop_map(|section| section.filter(|section| *section != Section::whole()))
}

fn authorization() -> impl Strategy<Value = Authorization> {
    let access = prop_oneof![
        "\\PC{1,9}".prop_map(Access::Submit),
        "\\PC{1,9}".prop_map(Access::User),
        Just(Access::AuthUser),
        Just(Access::Anonymous),
    ];
    let verifier = ("[A-Z0-9.-]{1,9}", "[0-9a-fA-F]{32,40}");
    let verifier = verifier.prop_map(|(mechanism, token)| Verifier { mechanism, token });
    let expire = "20[0-9]{2}-12-31T23:59:59(Z|[+-]01:00)";
    (proptest::option::of(expire), access, proptest::option::of(verifier))
        .prop_map(|(expire, access, verifier)| Authorization { expire, access, verifier })
}

prop_compose! {
    fn url()(
        authority in proptest::option::of((proptest::option::of("\\PC{1,9}"), "[a-z0-9.-]{1,9}")),
        mailbox in "\\PC{1,12}",
        uid_validity in proptest::option::of(1u32..),
        uid in 1u32..,
        section in section(),
        authorization in proptest::option::of(authorization()),
    ) -> MessageUrl {
        let authority = authority.map(|(user, host)| Authority { user, host });
        let mailbox = if mailbox.eq_ignore_ascii_case("INBOX") { "INBOX".into() } else { mailbox };
        MessageUrl { authority, mailbox, uid_validity, uid, section, authorization }
    }
}

proptest! {
    #[test]
    fn never_panics(
        url in "(imap://)?([a-c%@:/;=0-9.+?]|UID|SECTION|PARTIAL|UIDVALIDITY|EXPIRE|URLAUTH|user|anonymous|INTERNAL|%C3%A4){0,24}"
    ) {
        let _ = MessageUrl::read(url.as_bytes());
    }

    #[test]
    fn written_urls_read_back(url in url()) {
        let text = url.to_string();
        prop_assert_eq!(MessageUrl::read(text.as_bytes()), Ok(url.clone()), "{}", text);
        if url.authorization.as_ref().is_some_and(|authorization| authorization.verifier.is_some()) {
            let rump = MessageUrl::rump(text.as_bytes()).unwrap();
            let mut without = url;
            without.authorization.as_mut().unwrap().verifier = None;
            let without = without.to_string();
            prop_assert_eq!(rump, without.as_bytes());
        }
    }
}
