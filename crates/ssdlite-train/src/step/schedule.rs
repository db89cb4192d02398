//! The learning rate as a function of the step.
//!
//! A schedule is a pure function, so a resumed run needs to know its step and
//! nothing else.
//!
//! Sources: cosine, arXiv 1608.03983 (SGDR) without restarts; warm-up, arXiv
//! 1706.02677, section 2.2; multi-step, PyTorch's `MultiStepLR`.

use std::f64::consts::PI;

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Debug, PartialEq)]
pub enum Decay {
    /// Half a cosine from 1 down to 0 at the last step.
    Cosine,
    /// Multiplied by `gamma` at each milestone.
    MultiStep {
        /// Steps from which on the next factor holds, ascending.
        milestones: Vec<u64>,
        /// The factor of each milestone.
        gamma: f64,
    },
}

/// A factor on the learning rate for each step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps of the warm-up, in which the factor rises evenly.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
}

impl Schedule {
    /// The factor for `step`, counted from 0: above 0 and at most 1 for every
    /// step of the run, 0 after a cosine's end.
    ///
    /// Step `i` of a warm-up of `n` has `(i + 1) / (n + 1)`, so neither its
    /// first step is lost nor its last one a repetition.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        match &self.decay {
            Decay::Cosine => {
                let length = self.steps.saturating_sub(self.warmup_steps).max(1);
                let done = (step - self.warmup_steps) as f64 / length as f64;
                0.5 * (1.0 + (PI * done.min(1.0)).cos())
            }
            Decay::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| step >= milestone);
                gamma.powi(passed.count() as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_rises_evenly_into_the_decay() {
        let schedule = Schedule {
            steps: 103,
            warmup_steps: 3,
            decay: Decay::Cosine,
        };
        let factors: Vec<f64> = (0..5).map(|step| schedule.factor(step)).collect();
        assert_eq!(factors[..4], [0.25, 0.5, 0.75, 1.0]);
        assert!(factors[4] < 1.0);
    }

    #[test]
    fn cosine_falls_to_zero_and_is_half_in_the_middle() {
        let schedule = Schedule {
            steps: 210,
            warmup_steps: 10,
            decay: Decay::Cosine,
        };
        assert!((schedule.factor(110) - 0.5).abs() < 1e-12);
        for step in 11..210 {
            assert!(schedule.factor(step) < schedule.factor(step - 1));
            assert!(schedule.factor(step) > 0.0);
        }
        assert_eq!(schedule.factor(210), 0.0);
        assert_eq!(schedule.factor(10_000), 0.0);
    }

    #[test]
    fn milestones_count_from_their_own_step() {
        let schedule = Schedule {
            steps: 100,
            warmup_steps: 0,
            decay: Decay::MultiStep {
                milestones: vec![30, 70],
                gamma: 0.1,
            },
        };
        let close = |step, expected: f64| (schedule.factor(step) - expected).abs() < 1e-12;
        assert!(close(0, 1.0) && close(29, 1.0));
        assert!(close(30, 0.1) && close(69, 0.1));
        assert!(close(70, 0.01) && close(99, 0.01));
    }

    #[test]
    fn a_run_of_nothing_but_warm_up_divides_by_nothing() {
        let schedule = Schedule {
            steps: 2,
            warmup_steps: 2,
            decay: Decay::Cosine,
        };
        assert!((0..3).all(|step| schedule.factor(step).is_finite()));
    }
}
