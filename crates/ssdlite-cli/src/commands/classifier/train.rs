//! `classifier train`: a training run from options to model file.

use anyhow::Result;
use clap::Args;
use ssdlite_data::folders::ImageFolder;
use ssdlite_train::config::Ignored;
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
        let outcome = self.train();
        outcome.map_err(|error| self.run.blamed(error, &self.options))
    }

    fn train(&self) -> Result<Outcome> {
        let text = self.run.config_text::<ClassifierConfig>(&self.options)?;
        let config = ClassifierConfig::from_toml(&text);
        let mut config = self.run.checked(config, &text, Task::Classifier)?;
        let usual = ClassifierConfig::new("");
        (self.run).expect_effect(&config.ignored(), &usual, &self.options)?;
        self.run.expect_data(&config.data.path)?;
        self.expect_undivided(&config)?;
        let model = &config.model;
        let start = self.run.start(model.backbone, &model.weights)?;
        let start = self
            .run
            .prolong(start, self.options.epochs(), &mut config.training)?;
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

    /// Refuses shares of a folder that is divided already.
    fn expect_undivided(&self, config: &ClassifierConfig) -> Result<()> {
        const REASON: &str = "the data folder is divided by the folders train, val and test";
        let idle = |key| Ignored {
            key,
            by: None,
            reason: REASON,
        };
        let usual = ClassifierConfig::new("");
        let is_divided = || anyhow::Ok(ImageFolder::open(&config.data.path)?.has_split_folders());
        let is_resumed = self.run.resume.is_some();
        if is_resumed || config.data.shares() == usual.data.shares() || !is_divided()? {
            return Ok(());
        }
        let shares = ["data.trainval", "data.train", "data.split-seed"].map(idle);
        (self.run).expect_effect(&shares, &usual, &self.options)
    }
}
