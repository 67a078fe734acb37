//! Where a request over HTTP comes from: this machine, or a page of another site that makes a browser ask us.

use tungstenite::http::{HeaderMap, Uri, header};

/// Whether a request names this machine as its host, and came from no other site: a page elsewhere that makes a browser
/// ask us, also by a name that it lets point here, must not speak for whoever sits at the browser.
#[must_use]
pub fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let local_origin = |origin: &str| {
        origin
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.host().map(is_this_machine))
            .unwrap_or(false)
    };
    host.is_some_and(|host| is_this_machine(without_port(host))) && origin(headers).is_none_or(local_origin)
}

/// Whether pages of the site that asks may ask, where only some sites' may. What is no browser names no site.
pub(crate) fn is_among(headers: &HeaderMap, allowed: Option<&[String]>) -> bool {
    match (origin(headers), allowed) {
        (None, _) | (_, None) => true,
        (Some(origin), Some(allowed)) => allowed.iter().any(|site| site.eq_ignore_ascii_case(origin)),
    }
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_this_machine(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use tungstenite::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")))
            .collect()
    }

    #[test]
    fn only_this_machine_is_local() {
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "127.1.2.3:1"] {
            assert!(is_local(&headers(&[(header::HOST, host)])), "{host}");
        }
        for host in ["example.org", "localhost.example.org:8080", "10.0.0.1:8080", ""] {
            assert!(!is_local(&headers(&[(header::HOST, host)])), "{host}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn another_sites_origin_is_not_local() {
        let asked = |origin| {
            is_local(&headers(&[
                (header::HOST, "localhost:8080"),
                (header::ORIGIN, origin),
            ]))
        };
        assert!(asked("http://localhost:3000"));
        assert!(!asked("https://example.org"));
        assert!(!asked("null"));
    }

    #[test]
    fn what_names_no_site_may_ask_where_only_some_sites_may() {
        let allowed = ["https://app.example.org".to_owned()];
        let asks = |pairs: &[(header::HeaderName, &str)]| is_among(&headers(pairs), Some(&allowed));
        assert!(asks(&[]));
        assert!(asks(&[(header::ORIGIN, "https://app.example.org")]));
        assert!(!asks(&[(header::ORIGIN, "https://example.org")]));
        assert!(is_among(
            &headers(&[(header::ORIGIN, "https://example.org")]),
            None
        ));
    }
}
