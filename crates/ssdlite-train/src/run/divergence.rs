//! Why a run's loss stopped being a number, as far as its options tell.

use super::usual::FINE_TUNING_LR;
use crate::config::TrainingOptions;

/// How much lower a learning rate is tried after one that was too high.
const STEP_DOWN: f64 = 10.0;

/// The likely cause of a loss that is no number, and what to try: a learning rate that
/// is too high, of which `factor` is the share that the schedule had come to.
pub(super) fn likely_cause(training: &TrainingOptions, factor: f64) -> String {
    let rates = [
        ("--lr", Some(training.lr)),
        ("--base-net-lr", training.base_net_lr),
        ("--extra-layers-lr", training.extra_layers_lr),
    ];
    let given = rates
        .into_iter()
        .filter_map(|(option, rate)| Some((option, rate?)));
    let (option, rate) = given.fold(("--lr", training.lr), |highest, rate| {
        if rate.1 > highest.1 { rate } else { highest }
    });
    let lower = (rate / STEP_DOWN).min(FINE_TUNING_LR);
    let clipping = if training.clip_norm == 0.0 {
        format!(" and --clip-norm {}", TrainingOptions::default().clip_norm)
    } else {
        String::new()
    };
    format!(
        "the learning rate is most likely too high ({rate:.2e}, and {:.2e} in this step): begin \
         again with a lower one, such as {option} {}{clipping}",
        rate * factor,
        rounded(lower)
    )
}

/// A number to one significant digit, as people write it.
fn rounded(number: f64) -> String {
    let text = format!("{number:.0e}");
    match text.parse::<f64>() {
        Ok(number) if number >= 1e-6 => number.to_string(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_named_with_a_lower_one() {
        let mut training = TrainingOptions {
            lr: 2e-3,
            ..TrainingOptions::default()
        };
        let cause = likely_cause(&training, 0.5);
        assert!(
            cause.contains("(2.00e-3, and 1.00e-3 in this step)"),
            "{cause}"
        );
        assert!(cause.ends_with("such as --lr 0.0002"), "{cause}");
        training.clip_norm = 0.0;
        training.lr = 1e30;
        let cause = likely_cause(&training, 1.0);
        assert!(cause.ends_with("--lr 0.002 and --clip-norm 10"), "{cause}");
        training.extra_layers_lr = Some(1e31);
        assert!(likely_cause(&training, 1.0).contains("--extra-layers-lr 0.002"));
        training.extra_layers_lr = None;
        training.lr = 1e-8;
        assert!(likely_cause(&training, 1.0).contains("--lr 1e-9"));
    }
}
