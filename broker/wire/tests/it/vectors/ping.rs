//! Vectors of PINGREQ and PINGRESP, named by clause.

use mqtt_wire::ReasonCode::MalformedPacket;
use mqtt_wire::Version::{V5, V311};

use super::{From, accepts, refuses};

#[test]
fn mqtt_3_12_4_1_pings_have_no_body() {
    for (version, clause) in [(V311, "MQTT311 2.2.3"), (V5, "MQTT5 2.1.4")] {
        accepts(From::Client, version, &[("PINGREQ", "c0")]);
        accepts(From::Server, version, &[("PINGRESP", "d0")]);
        refuses(
            From::Client,
            version,
            &[(clause, MalformedPacket, "PINGREQ with a body", "c0 010203")],
        );
        refuses(
            From::Server,
            version,
            &[(clause, MalformedPacket, "PINGRESP with a body", "d0 00")],
        );
    }
}
