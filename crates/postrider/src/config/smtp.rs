//! `[smtp]`: mail that comes in.

use server::settings::{SmtpSettings, StsMode};
use toml::de::DeValue;

use super::listen::Listen;
use super::read::{Value, section};

section! {
    /// Mail that comes in.
    Smtp {
        /// Whether the Received field of a submission shows the user's address. It tells every recipient where the
        /// user is.
        show_client: bool = false;
        /// Mode of the MTA-STS policy that is shown at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` for our domains
        /// (docs/security.md). With `"enforce"` other servers send no mail where the certificate is not good.
        mta_sts: StsMode = StsMode::Testing;
    }
}

impl Value for StsMode {
    const KIND: &'static str = "\"none\", \"testing\" or \"enforce\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let modes = [Self::None, Self::Testing, Self::Enforce];
        let mode = modes.into_iter().find(|mode| value.as_str() == Some(mode.name()));
        mode.ok_or_else(|| format!("write {}", Self::KIND))
    }

    fn show(&self) -> String {
        format!("{:?}", self.name())
    }
}

impl Smtp {
    pub(super) fn settings(&self, listen: &Listen) -> SmtpSettings {
        SmtpSettings { show_client: self.show_client, listening: listen.smtp.clone(), mta_sts: self.mta_sts }
    }
}
