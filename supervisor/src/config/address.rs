//! Addresses: those of backends, as written and as meant, and whether a host is this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The address of a backend.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct BaseUrl {
    /// Without a slash or `/v1` at the end.
    pub(super) text: String,
    /// Whether it is reached with https over the public internet: then it is a service, not a machine of ours.
    pub(super) is_public_https: bool,
}

impl BaseUrl {
    /// Reads the address `text`; or says what is wrong with it, without showing it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is missing or empty; it needs an address such as http://127.0.0.1:1234");
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err("the scheme must be http or https, as in http://127.0.0.1:1234");
        }
        if rest.starts_with(['/', ':', '?', '#']) || rest.is_empty() {
            return Err("the host is missing, as in http://127.0.0.1:1234");
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => "the host is missing, as in http://127.0.0.1:1234",
            url::ParseError::InvalidPort => "the port must be a number from 1 to 65535",
            _ => "the host is not one that can be reached",
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a name or password; put the key under api_key");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "must not hold a ? or #; it is only the base that paths such as /v1/models are added to",
            );
        }
        if url.port() == Some(0) {
            return Err("the port must be a number from 1 to 65535");
        }
        let origin = url.as_str().strip_suffix(url.path()).unwrap_or(url.as_str());
        let path = url.path().trim_end_matches('/');
        let version = ["/v1beta", "/v1"].into_iter().find_map(|version| path.strip_suffix(version));
        let path = version.unwrap_or(path).trim_end_matches('/');
        let is_public_https = url.scheme() == "https" && url.host().is_some_and(|host| is_public(&host));
        Ok(Self { text: format!("{origin}{path}"), is_public_https })
    }
}

/// Whether two addresses, as in [`BaseUrl::text`], are of one server, as far as one can tell by looking at them. An empty
/// one is nobody's.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    // Engines that listen on localhost listen on 127.0.0.1, whatever else they do.
    let plain = |url: &str| match url.split_once("://localhost") {
        Some((scheme, rest)) if rest.is_empty() || rest.starts_with([':', '/']) => {
            format!("{scheme}://127.0.0.1{rest}")
        }
        _ => url.to_owned(),
    };
    !one.is_empty() && plain(one) == plain(other)
}

/// Whether `host`, as in `proxy.host`, can be reached from this machine alone.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = without_brackets(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An IPv6 address may be written as in a URL.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_public_name(name),
        Host::Ipv4(ip) => is_public_v4(*ip),
        Host::Ipv6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_public_v6(*ip), is_public_v4),
    }
}

fn is_public_name(name: &str) -> bool {
    const OURS: [&str; 8] =
        ["localhost", "local", "lan", "home", "internal", "intranet", "test", "home.arpa"];
    let name = name.trim_end_matches('.');
    let is_ours =
        |ending: &str| name.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !OURS.iter().any(|ending| is_ours(ending))
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is handed out inside providers and by private networks laid over others.
    let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || is_shared)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_make_no_difference() {
        let cases = [
            ("http://127.0.0.1:1234", "http://127.0.0.1:1234"),
            ("http://127.0.0.1:1234/", "http://127.0.0.1:1234"),
            (" http://127.0.0.1:1234/v1//", "http://127.0.0.1:1234"),
            ("HTTP://Host:80/v1", "http://host"),
            ("https://openrouter.ai/api/v1", "https://openrouter.ai/api"),
            ("https://host/v1/v1", "https://host/v1"),
            ("https://host/rev1", "https://host/rev1"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ];
        for (text, expected) in cases {
            assert_eq!(BaseUrl::parse(text).map(|url| url.text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_addresses_are_told_apart_and_not_shown() {
        let cases = [
            ("", "empty"),
            ("ftp://x", "scheme"),
            ("localhost:1234", "scheme"),
            ("127.0.0.1", "scheme"),
            ("http://", "host is missing"),
            ("http:///v1", "host is missing"),
            ("http://:8080", "host is missing"),
            ("http://host:eighty", "port"),
            ("http://host:99999", "port"),
            ("http://host:0", "port"),
            ("http://me:sk-secret@host", "api_key"),
            ("http://host/?key=sk-secret", "?"),
            ("http://ho st", "host"),
        ];
        for (text, expected) in cases {
            let message = BaseUrl::parse(text).unwrap_err();
            assert!(message.contains(expected) && !message.contains("secret"), "{text}: {message}");
        }
    }

    #[test]
    fn services_are_told_from_machines_of_ours() {
        let is_public = |text| BaseUrl::parse(text).unwrap().is_public_https;
        for url in ["https://api.openai.com/v1", "https://8.8.8.8", "https://[2606:4700::1]"] {
            assert!(is_public(url), "{url}");
        }
        let ours = [
            "http://api.openai.com",
            "https://localhost",
            "https://gpu",
            "https://gpu.local",
            "https://gpu.home.arpa",
            "https://192.168.1.2",
            "https://100.100.1.1",
            "https://127.0.0.1",
            "https://[fd00::1]",
            "https://[::ffff:10.0.0.1]",
        ];
        for url in ours {
            assert!(!is_public(url), "{url}");
        }
    }

    #[test]
    fn servers_are_the_same_under_either_name_of_this_machine() {
        let cases = [
            ("http://localhost:1234", "http://127.0.0.1:1234", true),
            ("http://h", "http://h", true),
            ("http://h:1", "http://h:2", false),
            ("http://h/a", "http://h/b", false),
            ("http://h", "https://h", false),
            ("https://localhost", "https://127.0.0.1", true),
            ("http://localhost.example.org", "http://127.0.0.1.example.org", false),
            ("", "", false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(same_server(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn loopback_hosts_are_known() {
        for host in ["127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "192.168.1.1", "localhost.example.org", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
