//! Text of a run's configuration: an error, or options that come back when they are
//! written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ssdlite_train::{ClassifierConfig, DetectorConfig};

fuzz_target!(|text: &str| {
    if let Ok(config) = DetectorConfig::from_toml(text) {
        let written = config.to_toml().expect("options that were read");
        let back = DetectorConfig::from_toml(&written).expect("what was written");
        assert_eq!(back, config);
    }
    if let Ok(config) = ClassifierConfig::from_toml(text) {
        let written = config.to_toml().expect("options that were read");
        let back = ClassifierConfig::from_toml(&written).expect("what was written");
        assert_eq!(back, config);
    }
});
