//! HTTP: the live page and the detection API.
//!
//! [`Server`] answers `POST /v1/detect` with the objects in an image, serves a
//! page that shows a source's frames with their boxes, and keeps frames as
//! training data, whose boxes a second page corrects. It speaks DeepStack's and
//! Label Studio's interfaces. Rules that fire in the page are handed on for a webhook. It is
//! told by [`ServerOptions`] what it runs and whom it lets
//! in. Whatever comes from outside is bounded: bodies, images, the queue,
//! connections and times.
//!
//! It listens and never connects; it prints nothing and never exits. TLS is
//! left to a proxy in front of it.

mod accept;
mod access;
mod answer;
mod body;
mod connections;
mod decoder;
mod detect;
pub mod error;
mod extract;
mod feed;
mod file_body;
mod follow;
pub mod form;
mod keep;
mod kept;
mod label_config;
mod label_studio;
mod metrics;
pub mod model;
mod models;
pub mod options;
mod page;
mod refusal;
mod routes;
mod rule_event;
mod scalar;
mod server;
mod share;
mod sockets;
mod state;
mod utc;
mod vision;
mod workers;

pub use error::{Error, Result};
pub use model::{Detect, LEAST_SCORE, Model, ModelOptions};
pub use models::ServedModels;
pub use options::{
    Access, DEFAULT_PORT, FetchImages, LEAST_BODY_RATE, Limits, Log, OnHangup, ServerOptions,
};
pub use rule_event::RuleEvent;
pub use server::Server;
