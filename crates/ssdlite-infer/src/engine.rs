//! A plan with its threads and its working memory.

use std::sync::{Mutex, OnceLock, PoisonError};

use ssdlite_core::tiles::Tile;
use ssdlite_core::{ImageSize, Preprocessing};
use ssdlite_image::{AsRgb, Preprocessor, RgbImage, RgbView};
use ssdlite_kernels::infer::Block;
use ssdlite_kernels::pool::{MOST_THREADS, all_cores};
use ssdlite_kernels::{Context, Isa, Pool};
use ssdlite_model::{Error, Result};

use crate::build::Network;
use crate::options::RunOptions;
use crate::plan::{LayerInfo, Outputs, Plan};

/// Runs a plan, from several threads at once if need be.
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    isa: Isa,
    pool: Pool,
    preprocessing: Preprocessing,
    /// Working memory that no call uses just now.
    sessions: Mutex<Vec<Session>>,
}

/// The working memory of one call.
#[derive(Debug)]
struct Session {
    arena: Vec<Block>,
    preprocessor: Preprocessor,
    outputs: Outputs,
}

impl Engine {
    pub(crate) fn new(network: Network<'_>, options: RunOptions) -> Result<Self> {
        let threads = options.threads.unwrap_or_else(all_cores);
        if threads > MOST_THREADS {
            return Err(Error::OverLimit(format!(
                "expected at most {MOST_THREADS} threads, found {threads}"
            )));
        }
        let pool = Pool::new(threads).map_err(|error| {
            Error::OverLimit(format!(
                "expected to start {threads} threads, but the system refused: {error}"
            ))
        })?;
        let isa = options.isa.unwrap_or_else(Isa::detect);
        let plan = network.plan(Context { isa, pool: &pool })?;
        Ok(Self {
            plan,
            isa,
            pool,
            preprocessing: *network.preprocessing,
            sessions: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn input_size(&self) -> ImageSize {
        self.preprocessing.size
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            isa: self.isa,
            pool: &self.pool,
        }
    }

    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
    }

    pub(crate) fn layers(&self) -> impl ExactSizeIterator<Item = &LayerInfo> {
        self.plan.steps.iter().map(|step| &step.info)
    }

    /// Runs a blank image, and keeps the working memory for the first image.
    pub(crate) fn warm_up(&self) -> Result<()> {
        let blank = RgbImage::filled(self.input_size(), [0; 3]);
        self.run(blank.as_rgb(), |_| Ok(()))
    }

    /// Runs one image through preprocessing and network and hands the
    /// outputs to `finish`.
    pub(crate) fn run<T>(
        &self,
        image: RgbView<'_>,
        finish: impl FnOnce(&Outputs) -> Result<T>,
    ) -> Result<T> {
        let whole = Tile::whole(image.reduction().whole_size());
        self.run_part(image, whole, finish)
    }

    /// [`Self::run`] on a part of an image.
    pub(crate) fn run_part<T>(
        &self,
        image: RgbView<'_>,
        part: Tile,
        finish: impl FnOnce(&Outputs) -> Result<T>,
    ) -> Result<T> {
        self.with_session(|session| {
            let Session {
                arena,
                preprocessor,
                outputs,
            } = session;
            let input = preprocessor.fit_part(&image, part);
            let input = input.map_err(|error| Error::Malformed(error.to_string()))?;
            let context = self.context();
            self.plan
                .run(context, input.pixels(), arena, outputs, &mut |_| {});
            finish(outputs)
        })
    }

    /// Runs `run` for each item, on as many threads at once as there are, and
    /// returns the results in order, or the first error.
    pub(crate) fn for_each<I: Sync, T: Send + Sync>(
        &self,
        items: &[I],
        run: impl Fn(&I) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        if items.len() < self.threads() {
            return items.iter().map(run).collect();
        }
        self.expect_memory(self.threads() - self.idle().len().min(self.threads()))?;
        let results: Vec<OnceLock<Result<T>>> = items.iter().map(|_| OnceLock::new()).collect();
        // Kernels find the workers taken and do all parts on their own thread.
        self.pool.run(items.len(), |part| {
            results[part.index].get_or_init(|| run(&items[part.index]));
        });
        let results = results.into_iter().filter_map(OnceLock::into_inner);
        results.collect()
    }

    /// Runs the network alone on an image of the input size. `after` is told
    /// the index of each layer when it is done.
    pub(crate) fn run_network(
        &self,
        image: RgbView<'_>,
        after: &mut dyn FnMut(usize),
    ) -> Result<()> {
        if image.size() != self.input_size() {
            return Err(Error::Malformed(format!(
                "expected an image of {}, found {}",
                self.input_size(),
                image.size()
            )));
        }
        self.with_session(|session| {
            self.plan.run(
                self.context(),
                image.pixels(),
                &mut session.arena,
                &mut session.outputs,
                after,
            );
            Ok(())
        })
    }

    fn with_session<T>(&self, run: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let mut session = match idle {
            Some(session) => session,
            None => {
                self.expect_memory(1)?;
                Session {
                    arena: vec![Block::ZERO; self.plan.places.len()],
                    preprocessor: Preprocessor::new(&self.preprocessing)
                        .map_err(|error| Error::Unsupported(error.to_string()))?,
                    outputs: Outputs::default(),
                }
            }
        };
        let result = run(&mut session);
        self.idle().push(session);
        result
    }

    /// Checks that the system gives the working memory of so many more images at
    /// once, where to ask for too much would end the process.
    pub(crate) fn expect_memory(&self, images: usize) -> Result<()> {
        let blocks = self.plan.places.len().saturating_mul(images);
        let asked = Vec::<Block>::new().try_reserve_exact(blocks);
        asked.map_err(|_| {
            let mebibytes = blocks.saturating_mul(size_of::<Block>()) >> 20;
            Error::OverLimit(format!(
                "a batch of {images} at {} takes {mebibytes} MiB of memory, which the system \
                 refuses: fewer threads or smaller images take less",
                self.input_size()
            ))
        })
    }

    #[cfg(test)]
    pub(crate) fn idle_sessions(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        // A session is whole whenever the lock is held.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks what a network says about an image.
///
/// # Errors
/// [`Error::Malformed`] for a NaN or an infinity.
pub(crate) fn check_finite(what: &str, numbers: &[f32]) -> Result<()> {
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(())
    } else {
        Err(Error::Malformed(format!(
            "expected finite {what}, found NaN or infinity: the weights or the input are broken"
        )))
    }
}
