//! From the tables of `ssdlite-core` and a model file to a plan.

mod builder;
mod dense;
mod packing;
mod separable;

use ssdlite_core::detector::{BOX_NUMBERS, ExtraBlock};
use ssdlite_core::mobilenet::{Backbone, InvertedResidual};
use ssdlite_core::{Activation, ClassifierNetwork, DetectorNetwork};
use ssdlite_kernels::Context;
use ssdlite_kernels::infer::Residual;
use ssdlite_model::{Error, ModelFile, Result};

use crate::plan::{Map, Plan, Rows};
use builder::Builder;
use separable::{Chain, Front, Wanted};

/// Index of the class logits among a detector's outputs.
pub(crate) const LOGITS: usize = 0;

/// Index of the box regressions among a detector's outputs.
pub(crate) const REGRESSIONS: usize = 1;

/// Maps of so few pixels are expanded by channels, not by rows, so that the
/// weights, which are more than the pixels, are read once.
const MOST_PIXELS_BY_CHANNELS: usize = 100;

/// Margin of the maps that heads read: their kernels are 3x3.
const HEAD_MARGIN: usize = 1;

/// The plan of a classifier, whose one output is a logit for each class.
pub(crate) fn classifier_plan(
    file: &ModelFile,
    network: &ClassifierNetwork,
    context: Context<'_>,
) -> Result<Plan> {
    let mut builder = Builder::new(file, context);
    let (_, last) = builder.backbone(&network.backbone, None)?;
    let averages = builder.average(last);
    let hidden = builder.linear(&network.hidden, averages, Activation::HardSwish)?;
    let output = builder.linear(&network.output, hidden, Activation::Identity)?;
    let classes = network.output.out_features;
    builder.emit(output, classes);
    Ok(builder.plan(vec![classes]))
}

/// The plan of a detector, whose outputs are [`LOGITS`] and [`REGRESSIONS`].
pub(crate) fn detector_plan(
    file: &ModelFile,
    network: &DetectorNetwork,
    context: Context<'_>,
) -> Result<Plan> {
    let mut builder = Builder::new(file, context);
    let (mut heads, last) = builder.backbone(&network.backbone, Some(network))?;
    let mut map = last;
    builder.heads(network, 1, map, &mut heads)?;
    for (index, block) in network.extra.iter().enumerate() {
        map = builder.extra(block, map)?;
        builder.heads(network, index + 2, map, &mut heads)?;
    }
    Ok(builder.plan(vec![heads.logits, heads.regressions]))
}

/// Numbers of each output that are placed so far.
#[derive(Clone, Copy, Debug, Default)]
struct HeadLengths {
    logits: usize,
    regressions: usize,
}

impl Builder<'_> {
    /// Adds the backbone. For a detector, also the heads of C4 as soon as that
    /// is there; what they write is returned with C5.
    fn backbone(
        &mut self,
        backbone: &Backbone,
        detector: Option<&DetectorNetwork>,
    ) -> Result<(HeadLengths, Map)> {
        let mut heads = HeadLengths::default();
        let mut front = Front::Stem(&backbone.stem);
        let mut map = None;
        for (index, block) in backbone.blocks.iter().enumerate() {
            let out_margin = margin_for(backbone.blocks.get(index + 1));
            let tapped = detector.filter(|_| index == backbone.c4_block);
            front = match (map, &block.expand, tapped) {
                (None, None, None) => front,
                (Some(map), None, None) => Front::Map(map),
                (Some(map), Some(unit), None) => Front::Expand(unit, map),
                (Some(map), Some(unit), Some(network)) => {
                    let margin = HEAD_MARGIN.max(block.depthwise.conv.kernel / 2);
                    let c4 = self.pointwise(unit, map, margin)?;
                    self.heads(network, 0, c4, &mut heads)?;
                    Front::Map(c4)
                }
                _ => {
                    return Err(Error::Unsupported(format!(
                        "bottleneck {index}: expected an expansion at C4 and none after the stem"
                    )));
                }
            };
            map = Some(self.bottleneck(block, front, map, out_margin)?);
        }
        let map = map.ok_or_else(|| Error::Unsupported("expected a bottleneck".into()))?;
        let margin = if detector.is_some() { HEAD_MARGIN } else { 0 };
        let last = self.pointwise(&backbone.last, map, margin)?;
        Ok((heads, last))
    }

    /// A bottleneck from its depthwise convolution on. `input` is the
    /// bottleneck's own input, for the residual.
    fn bottleneck(
        &mut self,
        block: &InvertedResidual,
        front: Front<'_>,
        input: Option<Map>,
        out_margin: usize,
    ) -> Result<Map> {
        let Some(squeeze_excite) = &block.squeeze_excite else {
            let chain = Chain {
                front,
                depthwise: &block.depthwise,
                project: &block.project,
                residual: if block.residual {
                    Residual::Input
                } else {
                    Residual::None
                },
                out_margin,
            };
            return self.chain(&chain);
        };
        let (map, sums) = self.depthwise(front, &block.depthwise, Wanted::Sums)?;
        let scales = sums.map(|sums| self.squeeze_excite(squeeze_excite, map, sums));
        let scales = scales.transpose()?;
        let residual = match (block.residual, input) {
            (false, _) => None,
            (true, Some(map)) => Some(map),
            (true, None) => {
                return Err(Error::Unsupported(format!(
                    "{}: expected no residual where squeeze-and-excite follows the stem",
                    block.project.key
                )));
            }
        };
        self.scaled_pointwise(&block.project, map, scales, residual, out_margin)
    }

    fn extra(&mut self, block: &ExtraBlock, input: Map) -> Result<Map> {
        let front = Front::Expand(&block.squeeze, input);
        if input.shape.pixels() <= MOST_PIXELS_BY_CHANNELS {
            let (map, _) = self.depthwise(front, &block.depthwise, Wanted::Map)?;
            return self.pointwise(&block.expand, map, HEAD_MARGIN);
        }
        let chain = Chain {
            front,
            depthwise: &block.depthwise,
            project: &block.expand,
            residual: Residual::None,
            out_margin: HEAD_MARGIN,
        };
        self.chain(&chain)
    }

    /// Both heads of feature map `index`.
    fn heads(
        &mut self,
        network: &DetectorNetwork,
        index: usize,
        map: Map,
        lengths: &mut HeadLengths,
    ) -> Result<()> {
        let boxes = map.shape.pixels() * ssdlite_core::detector::BOXES_PER_CELL;
        let numbers = boxes * network.outputs_per_box;
        let logits = Rows {
            output: LOGITS,
            range: lengths.logits..lengths.logits + numbers,
        };
        let numbers = boxes * BOX_NUMBERS;
        let regressions = Rows {
            output: REGRESSIONS,
            range: lengths.regressions..lengths.regressions + numbers,
        };
        lengths.logits = logits.range.end;
        lengths.regressions = regressions.range.end;
        self.head(&network.classification[index], map, logits)?;
        self.head(&network.regression[index], map, regressions)
    }
}

/// Margin of the map that a bottleneck reads: only one without expansion gives
/// it to its depthwise convolution.
fn margin_for(next: Option<&InvertedResidual>) -> usize {
    match next {
        Some(block) if block.expand.is_none() => block.depthwise.conv.kernel / 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
    use ssdlite_kernels::Pool;

    use super::*;
    use crate::bench::arbitrary_model;

    #[test]
    fn a_residual_that_no_step_would_add_is_refused() {
        let classes = ClassNames::new(["cat", "dog"]).expect("distinct names");
        let info = ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes, 32);
        let file = arbitrary_model(&info).expect("a sound model");
        let mut network = info.backbone.classifier(2);
        let pool = Pool::single();
        let context = Context::detect(&pool);
        assert!(classifier_plan(&file, &network, context).is_ok());
        network.backbone.blocks[0].residual = true;
        let error = classifier_plan(&file, &network, context).expect_err("a residual");
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
}
