//! Counters for Prometheus.
//!
//! Does: count, and write the text that /metrics shows. Does not: keep anything about a person: labels are
//! protocols and outcomes, never addresses, so the number of series is bounded.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type ByOne = Family<[(&'static str, &'static str); 1], Counter>;
type ByTwo = Family<[(&'static str, &'static str); 2], Counter>;

/// The counters of one system.
pub struct Metrics {
    registry: Registry,
    connections: Family<[(&'static str, &'static str); 1], Gauge>,
    accepted: ByOne,
    turned_away: ByTwo,
    logins: ByOne,
    messages: ByOne,
    recipients: ByOne,
    replies: ByTwo,
    undigested: Gauge,
    expire: Gauge,
    orders: ByOne,
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("postrider");
        let connections = Family::default();
        registry.register("connections", "Open connections by service", connections.clone());
        let accepted = ByOne::default();
        registry.register("connections_accepted", "Connections accepted by service", accepted.clone());
        let turned_away = ByTwo::default();
        registry.register("connections_turned_away", "Connections over a limit", turned_away.clone());
        let logins = ByOne::default();
        registry.register("logins", "Log-ins by outcome", logins.clone());
        let messages = ByOne::default();
        registry.register("messages", "Messages accepted by how they came in", messages.clone());
        let recipients = ByOne::default();
        registry.register("recipients", "Recipients by what became of them", recipients.clone());
        let replies = ByTwo::default();
        registry.register("replies", "Refusals by service and reply class", replies.clone());
        let undigested = Gauge::default();
        let help = "Mailboxes with messages that have no digest yet: what looks into those takes longer";
        registry.register("mailboxes_undigested", help, undigested.clone());
        let expire = Gauge::default();
        let help = "When the certificate that ends first does, in seconds since 1970; 0 without one";
        registry.register("certificate_expires", help, expire.clone());
        let orders = ByOne::default();
        registry.register("certificate_orders", "Certificates asked for by ACME, by outcome", orders.clone());
        Self {
            registry,
            connections,
            accepted,
            turned_away,
            logins,
            messages,
            recipients,
            replies,
            undigested,
            expire,
            orders,
        }
    }

    /// A connection began.
    pub fn connection_opened(&self, service: &'static str) {
        self.connections.get_or_create(&[("service", service)]).inc();
        self.accepted.get_or_create(&[("service", service)]).inc();
    }

    /// A connection ended.
    pub fn connection_closed(&self, service: &'static str) {
        self.connections.get_or_create(&[("service", service)]).dec();
    }

    /// A connection was over a limit: `total` or `address`.
    pub fn turned_away(&self, service: &'static str, limit: &'static str) {
        self.turned_away.get_or_create(&[("service", service), ("limit", limit)]).inc();
    }

    /// A log-in ended: `ok`, `refused`, `limited`.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A message was accepted: `smtp`, `submission`, `jmap`, `append`, `report`.
    pub fn message(&self, through: &'static str) {
        self.messages.get_or_create(&[("through", through)]).inc();
    }

    /// Recipients reached an end: `delivered`, `relayed`, `deferred`, `bounced`, `expired`, `discarded`.
    pub fn recipients(&self, outcome: &'static str, count: u64) {
        self.recipients.get_or_create(&[("outcome", outcome)]).inc_by(count);
    }

    /// A client was refused something: class `4yz`, `5yz`, `no`, `bad`, `err`.
    pub fn refusal(&self, service: &'static str, class: &'static str) {
        self.replies.get_or_create(&[("service", service), ("class", class)]).inc();
    }

    /// The certificates of now: when the first of them ends.
    pub fn certificates_expire(&self, first: Option<mail::Timestamp>) {
        self.expire.set(first.map_or(0, mail::Timestamp::secs));
    }

    /// A certificate was asked for: `ok`, `failed`.
    pub fn certificate_order(&self, outcome: &'static str) {
        self.orders.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// OpenMetrics text; `undigested`: how many mailboxes have messages without a digest now.
    pub fn text(&self, undigested: u64) -> String {
        self.undigested.set(i64::try_from(undigested).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing into a String fails only where a metric's own encoding does; then there is nothing to show.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_show_in_the_text() {
        let metrics = Metrics::new();
        metrics.connection_opened("smtp");
        metrics.connection_opened("smtp");
        metrics.connection_closed("smtp");
        metrics.recipients("delivered", 3);
        metrics.certificates_expire(Some(mail::Timestamp::from_secs(7)));
        metrics.certificate_order("failed");
        let text = metrics.text(4);
        assert!(text.contains("postrider_connections{service=\"smtp\"} 1\n"), "{text}");
        assert!(text.contains("postrider_connections_accepted_total{service=\"smtp\"} 2\n"), "{text}");
        assert!(text.contains("postrider_mailboxes_undigested 4\n"), "{text}");
        assert!(text.contains("postrider_certificate_expires 7\n"), "{text}");
        assert!(text.contains("postrider_certificate_orders_total{outcome=\"failed\"} 1\n"), "{text}");
        assert!(text.contains("postrider_recipients_total{outcome=\"delivered\"} 3\n"), "{text}");
    }
}
