//! Chooses scenarios, targets and parameters.

mod beat;
mod broker;
mod client;
mod codec;
mod compare;
mod desk;
mod door;
mod gauge;
mod http;
mod line;
mod load;
mod machine;
mod meter;
mod page;
mod peer;
mod probe;
mod process;
mod progress;
mod publisher;
mod pulse;
mod random;
mod relay;
mod report;
mod rounds;
mod scanner;
mod scenario;
mod sequence;
mod settings;
mod soak;
mod stamp;
mod table;
mod tls;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::broker::{Programs, Target};
use crate::page::Page;
use crate::probe::Probe;
use crate::scenario::Scenario;
use crate::settings::Lists;
use crate::soak::Soak;

/// Measures MQTT brokers from outside: CPU time of the broker per delivered message, and what stands beside it.
///
/// Exit codes: 0 every run is sound; 1 a run is void or could not be made, messages were lost, repeated or
/// reordered, a scenario's bar was missed, or a line of results was not understood; 2 nothing could be measured.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario against one target and print one JSON line per run
    Run {
        scenario: Scenario,
        /// ours, ours:N or ours:default (shards), mosquitto, probe, relay, or an address
        #[arg(long, default_value = "ours")]
        target: Target,
        #[command(flatten)]
        lists: Lists,
        #[command(flatten)]
        programs: Programs,
    },
    /// Run scenarios against several targets in turns and print a table of medians and ratios
    Compare {
        /// ours, ours:N or ours:default (shards), mosquitto, probe, relay, or an address; the last one that is neither probe nor relay is the yardstick
        #[arg(required = true)]
        targets: Vec<Target>,
        #[arg(long, value_delimiter = ',', default_value = "p2p")]
        scenario: Vec<Scenario>,
        /// Rounds, interleaved: every target once per round
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Append one JSON line per run to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        #[command(flatten)]
        lists: Lists,
        #[command(flatten)]
        programs: Programs,
    },
    /// Drive our broker for a long time with everything at once; look for lost messages and growing memory
    Soak(Soak),
    /// Draw results: a page of HTML that needs nothing from elsewhere
    Report(Page),
    /// Be the null relay: copy bytes between paired sockets, without MQTT
    Relay { address: SocketAddr },
    /// Be the minimal probe: MQTT 3.1.1 at QoS 0 and 1 and nothing else
    Probe { address: SocketAddr },
}

fn main() -> ExitCode {
    // As many connections as the machine allows, here and in the brokers that are started; a scenario that needs
    // more fails with the system's own words.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match perform(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            compare::say(&format!("twinmq-bench: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Answers whether every run was sound.
fn perform(command: Command) -> Result<bool> {
    match command {
        Command::Run {
            scenario,
            target,
            lists,
            programs,
        } => compare::run(scenario, &target, &lists, &programs),
        Command::Compare {
            targets,
            scenario,
            rounds,
            json,
            lists,
            programs,
        } => compare::Comparison {
            targets,
            scenarios: scenario,
            rounds,
            json,
            lists,
            programs,
        }
        .run(),
        Command::Soak(soak) => soak.run(),
        Command::Report(page) => page.write(),
        Command::Relay { address } => relay::serve(address).map(|()| true),
        Command::Probe { address } => Probe::listen(address)?.serve().map(|()| true),
    }
}
