//! Whether the certificate can be used, for how long, and for the address that people type.

use chrono::{DateTime, Utc};

use crate::{
    app::tls::{Certificates, TlsError},
    base::{clock::Clock, finding::Finding},
    config::Config,
};

const RENEW: &str = "Renew it and replace tls.certificate and tls.key; the server reads them again by itself.";

/// Nothing when the server speaks plain HTTP.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    match judged(config) {
        Ok(findings) => findings,
        // The sentence has its own advice.
        Err(error) => vec![Finding { advice: None, ..Finding::problem("tls.unusable", error.to_string(), "") }],
    }
}

fn judged(config: &Config) -> Result<Vec<Finding>, TlsError> {
    let Some(certificates) = Certificates::load(&config.tls)? else { return Ok(Vec::new()) };
    let mut findings = vec![remaining(certificates.ends_at()?, Clock::system().now())];
    let public = config.server.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    if let Some(host) = public.as_ref().and_then(|url| url.host_str())
        && !certificates.is_for(host)?
    {
        findings.push(Finding::problem(
            "tls.other_name",
            format!("The certificate is not for {host}, which server.public_url names."),
            "Use a certificate that names it, or correct server.public_url.",
        ));
    }
    Ok(findings)
}

fn remaining(ends_at: DateTime<Utc>, now: DateTime<Utc>) -> Finding {
    let (day, left) = (ends_at.date_naive(), (ends_at - now).num_days());
    match left {
        _ if ends_at <= now => Finding::problem("tls.expired", format!("The certificate ended on {day}."), RENEW),
        0..7 => Finding::warning("tls.ends_soon", format!("The certificate ends on {day}."), RENEW),
        _ => Finding::ok("tls.ok", format!("The certificate fits its key and ends on {day}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_found() {
        let now = Clock::fixed().now();
        let finding = |days| remaining(now + chrono::Duration::days(days), now);
        assert_eq!([8, 6, -1].map(|days| finding(days).code), ["tls.ok", "tls.ends_soon", "tls.expired"]);
        assert_eq!(finding(-1).found, "The certificate ended on 2026-11-19.");
        assert!(finding(6).advice.is_some_and(|advice| advice.contains("Renew it")));
    }
}
