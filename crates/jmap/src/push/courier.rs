//! How those are told who hold no connection: the caller's part.

use mail::AccountId;

/// Reaches push services (RFC 8030) for the subscriptions that the store keeps.
pub trait Courier: Send + Sync {
    /// The key that push services know this system by, as clients get it (RFC 9749 §3).
    fn application_server_key(&self) -> String;

    /// A code that nobody can guess, another one each time (RFC 8620 §7.2.2).
    fn code(&self) -> String;

    /// Why nothing may be sent to a URL; none: it may.
    fn refuses(&self, url: &str) -> Option<String>;

    /// Whether something can be encrypted for the owner of this key (RFC 8291 §3.1: a point of the curve).
    fn can_encrypt_for(&self, p256dh: &[u8; 65]) -> bool;

    /// A subscription of the account is new, another, or gone.
    fn subscriptions_changed(&self, account: AccountId);
}
