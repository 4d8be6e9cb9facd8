//! The commands: what they are called, and what each calls.

pub mod exit;
mod health;
mod import_spend;
mod spend_file;

use std::{
    io::{Write, stdout},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand};
use mingpian::{
    app::Ambient,
    config::{self, Flags, Settings},
    keys, server,
};

/// Official contact cards of a content platform, over gRPC.
#[derive(Parser)]
#[command(name = "mingpian", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve {
        /// Load a sample merchant and print commands to paste; refused (78) when the store holds
        /// another merchant's cards, unless it was a demo's before.
        #[arg(long)]
        demo: bool,
        #[command(flatten)]
        layers: Layers,
    },
    /// Bring the store's schema up to date, then end.
    Migrate {
        #[command(flatten)]
        layers: Layers,
    },
    /// Take in figures of ad spend from a file, straight into the store of the settings: run it
    /// where the server runs, or name the store. A run that was cut is gone on with; sending a
    /// file again is safe. 0 when all figures are in; 65 when some were rejected and the rest
    /// are in, or the first line is wrong; 66 when there is no such file.
    ImportSpend {
        #[command(flatten)]
        options: import_spend::Options,
        #[command(flatten)]
        layers: Layers,
    },
    /// Make the funnel's figures again from raw events, as far back as these are kept, in one
    /// transaction: after a change of definition or a repair. 75 while a replica rolls up: stop
    /// it, or try again.
    RebuildFunnel {
        #[command(flatten)]
        layers: Layers,
    },
    /// Ask a running service how it is: 0 when SERVING, 1 otherwise.
    Health {
        /// The full name of one service, such as mingpian.v1.CardService; without it, the server.
        #[arg(long, default_value = "")]
        service: String,
        /// HOST:PORT, or a URL: https://HOST:PORT where the listener has TLS. Without it, where
        /// the settings say.
        #[arg(long)]
        address: Option<String>,
        #[command(flatten)]
        tls: health::Tls,
        /// A file of settings.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the settings in force, secrets redacted; 78 when they are refused.
    CheckConfig {
        #[command(flatten)]
        layers: Layers,
    },
    /// The keys that encrypt contacts and tap tokens.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Subcommand)]
enum Keys {
    /// Add a key to a file, made when it is missing, and print the key's id. The first key of a
    /// file is active at once; a later one waits until every replica has the file.
    New {
        /// The file of keys; without it, the one of the settings.
        #[arg(long)]
        file: Option<PathBuf>,
        /// A file of settings.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Encrypt with this key from the next start on.
    Activate {
        /// The file of keys.
        #[arg(long)]
        file: PathBuf,
        /// The key's id, as `keys new` printed it.
        id: u8,
    },
}

/// The settings' layers that the command line knows.
#[derive(Args)]
struct Layers {
    /// A file of settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where gRPC is served, such as 127.0.0.1:50051.
    #[arg(long, value_name = "ADDRESS")]
    grpc_listen: Option<String>,
    /// Where the public HTTP door is served.
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// Where metrics and probes are served.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// sqlite://PATH or postgres://…; a URL with a password belongs into the environment or a
    /// file, where other users of the machine do not see it.
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
    /// nats://…: tell a stream of NATS JetStream what changes, as CloudEvents.
    #[arg(long, value_name = "URL")]
    events_url: Option<String>,
    /// What this replica does, with commas between: serve, intake, rollup, publish, jobs. All of
    /// it without the flag.
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
}

impl Layers {
    fn load(self) -> Result<Settings, config::Error> {
        config::load(&Flags {
            config: self.config,
            grpc_listen: self.grpc_listen,
            http_listen: self.http_listen,
            admin_listen: self.admin_listen,
            store_url: self.store_url,
            events_url: self.events_url,
            roles: self.roles,
        })
    }
}

fn settings(config: Option<PathBuf>) -> Result<Settings, config::Error> {
    config::load(&Flags {
        config,
        ..Flags::default()
    })
}

impl Cli {
    /// Does what the command line says; the exit code.
    pub async fn run(self) -> anyhow::Result<u8> {
        match self.command {
            Command::Serve { demo, layers } => server::run(layers.load()?, demo).await?,
            Command::Migrate { layers } => server::migrate(&layers.load()?).await?,
            Command::ImportSpend { options, layers } => {
                return import_spend::run(options, &layers.load()?).await;
            }
            Command::RebuildFunnel { layers } => {
                let viewers = server::rebuild_funnel(&layers.load()?).await?;
                writeln!(stdout(), "{viewers} viewers")?;
            }
            Command::Health {
                service,
                address,
                tls,
                config,
            } => {
                let address = match address {
                    Some(address) => address,
                    None => health::own_address(&settings(config)?),
                };
                return health::ask(&address, &tls, service).await;
            }
            Command::CheckConfig { layers } => {
                write!(stdout(), "{}", toml::to_string(&layers.load()?)?)?;
            }
            Command::Keys(Keys::New { file, config }) => {
                let file = match file {
                    Some(file) => file,
                    None => settings(config)?.keys_path(),
                };
                let id = keys::add(&file, Ambient::system().random())?;
                writeln!(stdout(), "{id}")?;
            }
            Command::Keys(Keys::Activate { file, id }) => keys::activate(&file, id)?,
        }
        Ok(exit::OK)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_hold_together() {
        Cli::command().debug_assert();
        for line in [
            "serve --demo --config f --grpc-listen a --http-listen b --admin-listen c --store-url d",
            "serve --events-url nats://a --roles intake,rollup",
            "migrate",
            "rebuild-funnel --store-url d",
            "import-spend f.csv --complete --store-url d",
            "health --service s --address a",
            "health --address a --ca f --domain d --cert f --key f",
            "check-config",
            "keys new --file f",
            "keys activate --file f 2",
        ] {
            let words = std::iter::once("mingpian").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for half in ["--cert f", "--key f"] {
            let words = ["mingpian", "health"].into_iter().chain(half.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{half}");
        }
    }
}
