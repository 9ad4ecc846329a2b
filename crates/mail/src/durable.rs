//! The witness that something is on stable storage.

/// Proof that `T` survives `kill -9` and power loss.
///
/// Who must not act before a commit takes a `Durable<T>` in its signature: the reply to the end of
/// DATA needs a `Durable<QueueId>`, IMAP's APPEND OK a `Durable<Uid>`. Only an engine of the store
/// makes one, after its COMMIT has returned; a test in `testkit` searches the sources for any
/// other call of [`Durable::attest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a commit that nobody is told of was made for nothing"]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// States that `value` is on stable storage. For the store's engines only.
    pub const fn attest(value: T) -> Self {
        Self(value)
    }

    /// What is durable.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What is durable, by value; the proof is spent.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The same proof about a part or a view of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(f(self.0))
    }
}
