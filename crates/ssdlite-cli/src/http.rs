//! What all requests share that the command line sends.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// Settings of a client whose TLS needs no C compiler.
pub(crate) fn config() -> ConfigBuilder<AgentScope> {
    let tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .build();
    Agent::config_builder().tls_config(tls)
}

/// Refuses a processor without the instructions that TLS is written in.
pub(crate) fn check_tls() -> Result<()> {
    ensure!(
        tls_runs_here(),
        "this processor lacks instructions that the TLS library needs"
    );
    Ok(())
}

/// Whether the processor has what the crate `graviola` lists as required.
fn tls_runs_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("adx")
            && is_x86_feature_detected!("bmi2")
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected;
        is_aarch64_feature_detected!("aes")
            && is_aarch64_feature_detected!("sha2")
            && is_aarch64_feature_detected!("pmull")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}
