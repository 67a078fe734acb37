//! Devices that are known by their certificate, with the clients everybody has: mosquitto's, and curl.

use std::process::Command;

use super::write_rules;
use crate::support::{House, Running, run, twinmq};

const TLS: &str = "certificate = \"certs/server.pem\"\nkey = \"certs/server.key\"\nclient_ca = \"certs/ca.pem\"\nclient_certificate = \"required\"\n";
const PATCH: [&str; 4] = ["-X", "PATCH", "-H", "content-type: application/merge-patch+json"];
const PREFIXES: [&str; 3] = ["$aws/things/pump-1/shadow", "$twin/pump-1", "$twin/me"];

/// A house that asks everybody for a certificate of its own authority.
struct Walled {
    house: House,
    broker: Running,
}

/// Certificates as an operator makes them, in this folder of the house.
fn make_certificates(house: &House, folder: &str) {
    let mut command = twinmq([
        "certs",
        "--out",
        folder,
        "--device",
        "pump-1",
        "--device",
        "lamp-1",
        "--device",
        "dashboard",
    ]);
    command.current_dir(house.folder.path());
    let (code, _, told) = run(command);
    assert_eq!(code, 0, "{told}");
}

fn walled() -> Walled {
    walled_with(&format!("bind = \"127.0.0.1:0\"\n[http.tls]\n{TLS}"))
}

/// One whose `[[http]]` goes on like this.
fn walled_with(https: &str) -> Walled {
    let listeners = format!(
        "[[listener]]\nname = \"mqtts\"\nbind = \"127.0.0.1:0\"\n[listener.tls]\n{TLS}\
         [[http]]\nname = \"https\"\n{https}[auth]\nacl_file = \"acl\"\n"
    );
    let house = House::new(&listeners);
    make_certificates(&house, "certs");
    make_certificates(&house, "strangers");
    write_rules(&house, "user dashboard\ntwin readwrite +\nfleet read\n");
    let broker = house.serve();
    Walled { house, broker }
}

impl Walled {
    /// A mosquitto client with the certificate in this folder.
    fn mosquitto(&self, client: &str, folder: &str, arguments: &[&str]) -> (i32, String, String) {
        let port = self.broker.address("mqtts").port().to_string();
        let mut command = Command::new(client);
        command.current_dir(self.house.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &port, "--cafile", "certs/ca.pem"]);
        command.args([
            "--cert",
            &format!("{folder}/pump-1.pem"),
            "--key",
            &format!("{folder}/pump-1.key"),
        ]);
        command.args(arguments);
        run(command)
    }

    /// Publishes as pump-1 with QoS 1; what the client complains about.
    fn publish(&self, topic: &str, document: &str) -> String {
        let told = self.mosquitto(
            "mosquitto_pub",
            "certs",
            &["-V", "mqttv5", "-q", "1", "-t", topic, "-m", document],
        );
        assert_eq!(told.0, 0, "{told:?}");
        told.2
    }

    /// An HTTPS request: status and answer. The certificate is named by folder and name; "" shows none.
    fn curl(&self, who: &str, arguments: &[&str], path: &str) -> (u16, String) {
        let mut command = Command::new("curl");
        command.current_dir(self.house.folder.path());
        command.args(["-sS", "--cacert", "certs/ca.pem", "-w", "\n%{http_code}"]);
        if !who.is_empty() {
            command.args(["--cert", &format!("{who}.pem"), "--key", &format!("{who}.key")]);
        }
        command
            .args(arguments)
            .arg(format!("https://{}{path}", self.broker.address("https")));
        let (_, said, _) = run(command);
        let (answer, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), answer.to_owned())
    }
}

#[test]
fn a_device_reaches_its_own_twin_by_every_name_it_has() {
    let walled = walled();
    for (number, prefix) in PREFIXES.iter().enumerate() {
        let report = format!("{{\"state\":{{\"reported\":{{\"rpm\":{number}}}}}}}");
        assert_eq!(
            walled.publish(&format!("{prefix}/update"), &report),
            "",
            "{prefix}"
        );
        let (request, response) = (format!("{prefix}/get"), format!("{prefix}/get/accepted"));
        let get = [
            "-V", "mqttv311", "-q", "1", "-W", "20", "-t", &request, "-e", &response, "-n",
        ];
        let (code, document, told) = walled.mosquitto("mosquitto_rr", "certs", &get);
        assert_eq!(code, 0, "{told}");
        assert!(
            document.contains(&format!("\"rpm\":{number}")),
            "{prefix}: {document}"
        );
    }
}

#[test]
fn a_device_reaches_no_other_twin_and_never_speaks_for_the_broker() {
    let walled = walled();
    let report = "{\"state\":{\"reported\":{\"rpm\":1}}}";
    for prefix in ["$aws/things/lamp-1/shadow", "$twin/lamp-1"] {
        for request in ["update", "get", "delete", "name/eco/update"] {
            let told = walled.publish(&format!("{prefix}/{request}"), report);
            assert!(told.contains("Not authorized"), "{prefix}/{request}: {told}");
        }
        for filter in ["update/delta", "get/accepted", "#"] {
            let filter = format!("{prefix}/{filter}");
            let (_, _, told) =
                walled.mosquitto("mosquitto_sub", "certs", &["-W", "20", "-C", "1", "-t", &filter]);
            assert!(told.contains("denied"), "{filter}: {told}");
        }
    }
    for prefix in PREFIXES {
        for word in [
            "update/accepted",
            "update/rejected",
            "update/delta",
            "update/documents",
            "get/accepted",
            "what",
        ] {
            let told = walled.publish(&format!("{prefix}/{word}"), "{}");
            assert!(told.contains("Not authorized"), "{prefix}/{word}: {told}");
        }
    }
    assert_eq!(
        walled.curl("certs/dashboard", &[], "/v1/devices/lamp-1/twin").0,
        404,
        "nothing came of it"
    );
}

#[test]
fn a_device_reports_over_https_and_sees_no_tags() {
    let walled = walled();
    let pump = |arguments: &[&str], path: &str| walled.curl("certs/pump-1", arguments, path);
    let patch = |who: &str, section: &str, document: &str| {
        let path = format!("/v1/devices/pump-1/twin/{section}");
        walled.curl(who, &[&PATCH[..], &["-d", document]].concat(), &path)
    };
    assert_eq!(patch("certs/dashboard", "tags", "{\"owner\":\"plant-2\"}").0, 200);
    assert_eq!(patch("certs/dashboard", "desired", "{\"rpm\":900}").0, 200);
    let (status, twin) = patch("certs/pump-1", "reported", "{\"rpm\":600}");
    assert_eq!(status, 200, "{twin}");
    let twin: serde_json::Value = serde_json::from_str(&pump(&[], "/v1/devices/pump-1/twin").1).unwrap();
    assert_eq!(
        (&twin["reported"]["rpm"], &twin["delta"]["rpm"]),
        (&600.into(), &900.into())
    );
    assert!(twin.get("tags").is_none(), "{twin}");
    assert!(!pump(&[], "/v1/devices/pump-1").1.contains("plant-2"));

    for section in ["desired", "tags"] {
        assert_eq!(patch("certs/pump-1", section, "{\"rpm\":1}").0, 403, "{section}");
    }
    for path in [
        "/v1/devices/lamp-1/twin",
        "/v1/devices",
        "/v1/changes",
        "/metrics",
        "/things/lamp-1/shadow",
    ] {
        assert_eq!(pump(&[], path).0, 403, "{path}");
    }
    assert_eq!(pump(&["-X", "DELETE"], "/v1/devices/pump-1/twin").0, 403);
    let shadow = pump(&[], "/things/pump-1/shadow");
    assert_eq!(shadow.0, 200, "{}", shadow.1);
    let (status, all) = walled.curl("certs/dashboard", &[], "/v1/devices/pump-1/twin");
    assert!(status == 200 && all.contains("plant-2"), "{all}");
}

/// Who asks for no protocol speaks MQTT; curl asks for `http/1.1`.
#[test]
fn mqtt_and_https_share_a_port_and_its_certificates() {
    let walled = walled_with("listener = \"mqtts\"\n");
    assert_eq!(walled.broker.address("https"), walled.broker.address("mqtts"));
    let report = |folder: &str, protocol: &[&str], rpm: usize| {
        let document = format!("{{\"state\":{{\"reported\":{{\"rpm\":{rpm}}}}}}}");
        let publish = ["-q", "1", "-t", "$twin/me/update", "-m", &document];
        walled
            .mosquitto("mosquitto_pub", folder, &[protocol, &publish].concat())
            .0
            == 0
    };
    let own = "/v1/devices/pump-1/twin";
    let reported = || {
        let (status, twin) = walled.curl("certs/pump-1", &[], own);
        assert_eq!(status, 200, "{twin}");
        serde_json::from_str::<serde_json::Value>(&twin).unwrap()["reported"]["rpm"].clone()
    };
    for (rpm, protocol) in [
        &[][..],
        &["--tls-alpn", "mqtt"],
        &["--tls-alpn", "x-amzn-mqtt-ca"],
    ]
    .into_iter()
    .enumerate()
    {
        assert!(report("certs", protocol, rpm), "{protocol:?}");
        assert_eq!(reported(), rpm);
    }
    assert_eq!(walled.curl("certs/pump-1", &[], "/v1/devices/lamp-1/twin").0, 403);

    assert!(!report("certs", &["--tls-alpn", "coap"], 9), "nobody speaks that");
    assert!(!report("strangers", &["--tls-alpn", "mqtt"], 9));
    for who in ["strangers/pump-1", ""] {
        assert_eq!(walled.curl(who, &[], own).0, 0, "{who:?} gets no answer at all");
    }
    assert_eq!(walled.curl("certs/pump-1", &["--no-alpn"], own).0, 0);
    assert_eq!(reported(), 2);
    assert!(walled.broker.stop().success());
}

/// The stranger's certificate has the right name, from another authority.
#[test]
fn a_certificate_of_another_authority_does_not_pass_tls() {
    let walled = walled();
    let (code, _, told) = walled.mosquitto(
        "mosquitto_pub",
        "strangers",
        &["-q", "1", "-t", "$twin/me/update", "-m", "{}"],
    );
    assert_ne!(code, 0, "{told}");
    let path = "/v1/devices/pump-1/twin";
    for who in ["strangers/pump-1", ""] {
        assert_eq!(walled.curl(who, &[], path).0, 0, "{who:?} gets no answer at all");
    }
    assert_eq!(
        walled.curl("certs/dashboard", &[], path).0,
        404,
        "nothing came of it"
    );
}
