//! How the fleet is, as the metrics page tells it.

use std::{fmt, io, net::SocketAddr};

use super::web;

/// Numbers of the metrics page, each 0 until it is counted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Census {
    online: f64,
    changes: f64,
    /// How many twins there are of each sync status.
    twins: Vec<(String, f64)>,
}

impl Census {
    /// Asks the running house.
    pub(crate) async fn take(http: SocketAddr) -> io::Result<Self> {
        match web::get(http, "/metrics").await? {
            (200, page) => Ok(Self::read(&page)),
            (status, _) => Err(io::Error::other(format!("the metrics page answered {status}"))),
        }
    }

    fn read(page: &str) -> Self {
        let mut census = Self::default();
        for (name, value) in page.lines().filter_map(|line| line.rsplit_once(' ')) {
            let Ok(value) = value.parse::<f64>() else { continue };
            match name {
                "twin_devices_connected" => census.online = value,
                "twin_changes_committed" => census.changes = value,
                _ => {
                    let sync = name
                        .strip_prefix("twins{sync=\"")
                        .and_then(|rest| rest.strip_suffix("\"}"));
                    census.twins.extend(sync.map(|sync| (sync.to_owned(), value)));
                }
            }
        }
        census.twins.sort_by(|one, other| one.0.cmp(&other.0));
        census
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} devices online, twins:", self.online)?;
        for (sync, count) in &self.twins {
            write!(f, " {count} {sync},")?;
        }
        write!(f, " {} changes", self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metrics_page_is_told_in_a_line() {
        let page = "# HELP twins Twins\n# TYPE twins gauge\ntwins{sync=\"pending\"} 2\ntwins{sync=\"in_sync\"} 21\n\
                    twin_devices_connected 22\ntwin_changes_committed 1234\ntwinmq_connections 22\n";
        let told = "22 devices online, twins: 21 in_sync, 2 pending, 1234 changes";
        assert_eq!(Census::read(page).to_string(), told);
    }

    #[test]
    fn what_is_not_counted_yet_is_nothing() {
        assert_eq!(Census::read(""), Census::default());
    }
}
