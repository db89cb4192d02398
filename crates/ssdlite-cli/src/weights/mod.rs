//! Published weights: which there are, where they are kept, how they get there.

mod download;
mod published;

pub(crate) use published::{Published, TrainedOn, published_for};

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;

use download::{Request, download};

/// Another place to fetch published weights from, for mirrors and tests.
const BASE_URL_VARIABLE: &str = "SSDLITE_WEIGHTS_URL";

/// Another folder to keep published weights in.
const CACHE_VARIABLE: &str = "SSDLITE_CACHE";

/// Where torchvision publishes its weights.
const BASE_URL: &str = "https://download.pytorch.org/models/";

/// The file of published weights in the user's cache, fetched if it is not
/// there yet.
pub(crate) fn fetch(weights: &Published) -> Result<PathBuf> {
    let folder = cache_folder()?;
    let path = folder.join(weights.file);
    if path.is_file() {
        download::check_digest(&path, weights.sha256_prefix).with_context(|| {
            format!(
                "{} is damaged: delete it, and it is fetched again",
                path.display()
            )
        })?;
        return Ok(path);
    }
    let base = std::env::var(BASE_URL_VARIABLE).unwrap_or_else(|_| BASE_URL.to_owned());
    let url = format!("{}/{}", base.trim_end_matches('/'), weights.file);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("can't make the folder {}", folder.display()))?;
    let request = Request {
        url: &url,
        to: &path,
        sha256_prefix: weights.sha256_prefix,
    };
    if let Err(error) = download(&request) {
        bail!("{error:#}\n{}", by_hand(weights, &url, &path));
    }
    Ok(path)
}

fn by_hand(weights: &Published, url: &str, path: &Path) -> String {
    format!(
        "The weights {} could not be fetched. Without a network, either copy {url}\nto {}\n\
         or start from random weights with `--weights none`.",
        weights.file,
        path.display()
    )
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(CACHE_VARIABLE) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().with_context(|| {
        format!("there is no home folder to keep weights in: set {CACHE_VARIABLE}")
    })?;
    Ok(strategy.cache_dir().join("ssdlite"))
}
