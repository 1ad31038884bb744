//! The address of a provider's API, as somebody typed it.

use url::Url;

use crate::{
    base::error::Invalid,
    platform::egress::{self, Origin},
};

#[derive(Debug)]
pub struct BaseUrl {
    /// Without a slash at its end.
    pub text: String,
    pub origin: Origin,
}

impl BaseUrl {
    /// Refuses what could never be sent to, and says why, before anything is stored.
    pub fn parse(text: &str, local: bool) -> Result<Self, Invalid> {
        let wrong = |code: &str, message: &str| Invalid::field("base_url", code, message);
        let malformed = || wrong("malformed", "Write an address such as https://api.openai.com/v1.");
        if text.len() > 2000 {
            return Err(malformed());
        }
        let url: Url = text.trim().parse().map_err(|_| malformed())?;
        let origin = Origin::of(&url).ok_or_else(malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials", "The key has a field of its own; it does not belong in the address."));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("malformed", "The address ends with its path, without ? and #."));
        }
        if origin.scheme == "http" && !local {
            return Err(wrong("not_local", "Without https only a machine of your own is reached. Declare it local."));
        }
        egress::judge(&url, local).map_err(|refusal| {
            let advice = if local { "" } else { " Declare it local if it is a machine of your own." };
            wrong("address", &format!("This address is not reached: {refusal}.{advice}"))
        })?;
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_to_is_taken() {
        let table = [
            ("https://api.openai.com/v1", false, ""),
            ("https://api.openai.com/v1/", false, ""),
            ("http://10.4.0.31:8080/v1", true, ""),
            ("https://gpu.example/v1", true, ""),
            ("http://api.openai.com/v1", false, "not_local"),
            ("http://10.4.0.31:8080/v1", false, "not_local"),
            ("https://10.4.0.31/v1", false, "address"),
            ("https://169.254.169.254/v1", true, "address"),
            ("https://[fe80::1]/v1", true, "address"),
            ("https://0x7f.1/v1", false, "address"),
            ("https://key@api.openai.com/v1", false, "credentials"),
            ("https://api.openai.com/v1?key=x", false, "malformed"),
            ("https://api.openai.com/v1#x", false, "malformed"),
            ("ftp://api.openai.com/v1", false, "malformed"),
            ("api.openai.com", false, "malformed"),
            ("", false, "malformed"),
        ];
        for (text, local, wanted) in table {
            match BaseUrl::parse(text, local) {
                Ok(url) => assert!(wanted.is_empty() && !url.text.ends_with('/'), "{text}"),
                Err(Invalid(faults)) => assert_eq!(faults[0].code, wanted, "{text}"),
            }
        }
    }
}
