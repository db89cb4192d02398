//! `classifier train`: a training run from options to model file.

use anyhow::Result;
use clap::Args;
use ssdlite_train::{ClassifierConfig, RunData, train_classifier};

use crate::args::run::RunArgs;
use crate::args::train_options::ClassifierTaskArgs;
use crate::evaluation::classifier::evaluate_run;
use crate::outcome::Outcome;
use crate::training::Task;

#[derive(Args)]
pub(crate) struct ClassifierTrainArgs {
    #[command(flatten)]
    options: ClassifierTaskArgs,
    #[command(flatten)]
    run: RunArgs,
}

impl ClassifierTrainArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let text = self.run.config_text::<ClassifierConfig>(&self.options)?;
        let config = ClassifierConfig::from_toml(&text);
        let mut config = self.run.checked(config, &text, Task::Classifier)?;
        self.run.expect_data(&config.data.path)?;
        let model = &config.model;
        let start = self.run.start(model.backbone, &model.weights)?;
        let start = self
            .run
            .prolong(start, self.options.epochs(), &mut config.training);
        self.run.train(
            Task::Classifier,
            config.training.device,
            |session| {
                let data = RunData::of_classifier(&config, session.observer)?;
                Ok((train_classifier(&config, &data, &start, session)?, data))
            },
            |data, folder, stop| evaluate_run(&config, data, folder, stop),
        )
    }
}
