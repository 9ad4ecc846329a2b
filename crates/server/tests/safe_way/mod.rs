//! Mail to hosts whose domains say how safe the way must be: DANE.

use mta::world::{Answer, Belief, Tlsa};

use super::*;

/// RFC 7672 §2.2: a host whose TLSA records can't be kept to, or can't be looked up, gets nothing; the next one may.
#[tokio::test(flavor = "multi_thread")]
async fn what_tlsa_records_ask_for_is_never_done_without() {
    let record = Tlsa { usage: 3, selector: 1, matching: 1, data: vec![7; 32] };
    let records = |record: &Tlsa| Answer::Found(vec![record.clone()], Belief::secure(Duration::from_secs(60)));
    let unusable = Tlsa { usage: 1, ..record.clone() };
    for (tlsa, bad_tls, offered, words) in [
        (records(&record), false, false, "the server does not offer STARTTLS, which is needed"),
        (records(&record), true, true, "TLS: bad handshake with mx.blue.example"),
        (records(&unusable), false, false, "the server does not offer STARTTLS, which is needed"),
        (records(&unusable), true, true, "TLS: bad handshake with mx.blue.example"),
        (Answer::Temporary("SERVFAIL".into()), false, true, "TLSA of _25._tcp.mx.blue.example: SERVFAIL"),
    ] {
        for second in [false, true] {
            let mut outside = Outside::default();
            outside.bad_tls = bad_tls;
            outside.mx("blue.example", &[(10, "mx.blue.example"), (20, "mx2.blue.example")][..=usize::from(second)]);
            outside.a("mx.blue.example", "192.0.2.1");
            outside.a("mx2.blue.example", "192.0.2.2");
            outside.secure("blue.example", "mx.blue.example", tlsa.clone());
            outside.server("192.0.2.1", move |_, line| match line {
                line if line.starts_with("EHLO") && offered => Say::Line("250-peer\r\n250 STARTTLS"),
                "STARTTLS" => Say::Line("220 go"),
                line => good(0, line),
            });
            // Nothing is published of this one: what it has is good enough.
            outside.server("192.0.2.2", |_, line| good(0, line));
            let house = house(outside).await;
            let id = house.send(&["bob@blue.example"]).await;
            if second {
                house.until(id, 1, relayed).await;
            } else {
                let told = house.until(id, 1, deferred).await;
                assert!(told[0].contains(words), "{told:?}");
            }
            let heard = house.outside.heard.lock().unwrap().clone();
            let to_first = |(at, line): &&(std::net::SocketAddr, String)| {
                at.ip().to_string() == "192.0.2.1" && line.starts_with("MAIL")
            };
            assert_eq!(heard.iter().filter(to_first).count(), 0, "in the clear, or to anybody: {heard:?}");
            house.end().await;
        }
    }
}

/// What is asked for and what was reached stand in the journey.
#[tokio::test(flavor = "multi_thread")]
async fn the_journey_says_how_safe_the_way_was() {
    let outside = blue();
    let record = Tlsa { usage: 1, selector: 0, matching: 1, data: vec![7; 32] };
    let tlsa = Answer::Found(vec![record], Belief::secure(Duration::from_secs(60)));
    outside.secure("blue.example", "mx.blue.example", tlsa);
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("EHLO") => Say::Line("250-peer\r\n250 STARTTLS"),
        "STARTTLS" => Say::Line("220 go"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let id = house.send(&["bob@blue.example"]).await;
    let reached = |what: &What| match what {
        What::Routed { policies, .. } => Some(policies.join("; ")),
        What::Relayed { tls, .. } => tls.clone().and_then(|tls| tls.policy),
        _ => None,
    };
    assert_eq!(
        house.until(id, 2, reached).await,
        [
            "DANE: encrypted, by any certificate, since TLSA 1 0 1 can't be used",
            "DANE: encrypted, but its TLSA records can't be used"
        ]
    );
    house.end().await;
}
