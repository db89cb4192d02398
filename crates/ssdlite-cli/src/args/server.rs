//! What `live` and `serve` share: where the server listens, whom it lets in,
//! where it keeps frames.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ssdlite_infer::all_cores;
use ssdlite_media::LiveOptions;
use ssdlite_serve::{Access, DEFAULT_PORT, Limits, Model, ModelOptions, ServerOptions};

use super::limits::LimitArgs;
use super::number::whole;
use super::stall::StallArgs;
use super::threads::threads;
use super::tiles::TilesArgs;
use crate::outcome::UsageError;

/// Where the server listens and whom it lets in.
#[derive(Args)]
pub(crate) struct ServerArgs {
    /// Address to listen on; one that other machines reach, such as 0.0.0.0,
    /// wants --token or --no-auth
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = whole(0..=u16::MAX))]
    port: u16,
    /// Let in who shows this token: 8 or more letters, digits or `-._~`
    #[arg(long, conflicts_with = "no_auth", value_parser = Access::from_token)]
    token: Option<Access>,
    /// Let in everybody who reaches the address; on 127.0.0.1 that is this
    /// machine, as without it
    #[arg(long)]
    no_auth: bool,
    /// Folder for the frames that people keep, as VOC data to train on: a new one,
    /// or one of VOC data; without it none can be kept
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Threads, 1 to 256 [default: all cores]
    #[arg(long, value_parser = threads)]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    tiles: TilesArgs,
}

impl ServerArgs {
    /// The threads that work on images.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(all_cores)
    }

    /// How a model is run, each image on so many threads.
    pub(crate) fn model_options(&self, threads: NonZeroUsize) -> ModelOptions {
        ModelOptions {
            threads,
            tiles: self.tiles.asked(),
        }
    }

    /// Options of a server of these models.
    pub(crate) fn options(self, models: Vec<Model>) -> Result<ServerOptions> {
        let live = LiveOptions {
            stall: self.stall.duration(),
            ..LiveOptions::default()
        };
        Ok(ServerOptions {
            address: SocketAddr::new(self.host, self.port),
            access: match self.token {
                Some(access) => access,
                None if self.no_auth => Access::Open,
                None => Access::LocalOnly,
            },
            keep: self.keep,
            live,
            limits: Limits {
                image: self.limits.limits(),
                ..Limits::default()
            },
            ..ServerOptions::new(models)
        })
    }

    /// Refuses an address that lets others in without a word on whom, before
    /// models are read.
    pub(crate) fn check(&self) -> Result<()> {
        if self.host.is_loopback() || self.token.is_some() || self.no_auth {
            return Ok(());
        }
        let host = self.host;
        Err(UsageError(format!(
            "--host {host} lets other machines in: give a token that they must show with --token, \
             or let everybody in with --no-auth"
        ))
        .into())
    }
}
