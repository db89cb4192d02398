//! `train`: a training run from options to model file.

use anyhow::Result;
use clap::Args;
use ssdlite_train::{DetectorConfig, RunData, Start, train_detector};

use crate::args::run::RunArgs;
use crate::args::train_options::DetectorTaskArgs;
use crate::evaluation::detector::evaluate_run;
use crate::outcome::Outcome;
use crate::training::Task;

#[derive(Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    options: DetectorTaskArgs,
    #[command(flatten)]
    run: RunArgs,
}

impl TrainArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let outcome = self.train();
        outcome.map_err(|error| self.run.blamed(error, &self.options))
    }

    fn train(&self) -> Result<Outcome> {
        let text = self.run.config_text::<DetectorConfig>(&self.options)?;
        let config = DetectorConfig::from_toml(&text);
        let mut config = self.run.checked(config, &text, Task::Detector)?;
        let usual = DetectorConfig::new("");
        (self.run).expect_effect(&config.ignored(), &usual, &self.options)?;
        self.run.expect_data(&config.data.path)?;
        let model = &config.model;
        let start = self.run.start(model.backbone, &model.weights)?;
        let start = self
            .run
            .prolong(start, self.options.epochs(), &mut config.training)?;
        if matches!(start, Start::Resume | Start::Prolong) {
            config = config.of_run();
        }
        self.run.train(
            Task::Detector,
            config.training.device,
            |session| {
                let data = RunData::of_detector(&config, session.observer)?;
                Ok((train_detector(&config, &data, &start, session)?, data))
            },
            |data, folder, stop| evaluate_run(&config, data, folder, stop),
        )
    }
}
