//! Starting threads, and hearing when they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::StartError;

/// The end of one thread.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub name: String,
    /// How.
    pub result: Result<(), String>,
    /// Whether [`Threads::count`] has it.
    pub is_waited_for: bool,
}

/// Threads that report their end.
pub struct Threads {
    ends: mpsc::Sender<Ended>,
    handles: Vec<JoinHandle<()>>,
    /// The next processor to pin a thread to, where threads are pinned.
    processor: Option<usize>,
}

impl Threads {
    /// No threads yet; `pin` gives each new one a processor of its own, in turn.
    pub fn new(pin: bool) -> (Self, mpsc::Receiver<Ended>) {
        let (ends, receiver) = mpsc::channel();
        (Self { ends, handles: Vec::new(), processor: pin.then_some(0) }, receiver)
    }

    /// Starts a thread. A panic in it is an end like another, with the panic's message.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn start(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), StartError> {
        let ends = self.ends.clone();
        let own_name = name.to_owned();
        let processor = self.processor;
        self.processor = processor.map(|at| at + 1);
        let body = move || {
            if let Some(at) = processor {
                pin_to(at, &own_name);
            }
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_message(&*panic)));
            // Nobody listens any more only when the engine itself is gone.
            let _ = ends.send(Ended { name: own_name, result, is_waited_for: true });
        };
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|error| StartError::Thread { name: name.to_owned(), error })?;
        self.handles.push(handle);
        Ok(())
    }

    /// Starts a thread whose end nobody waits for, because nothing is lost when the process ends before it. Only a panic in
    /// it is told.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn start_background(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let (ends, own_name) = (self.ends.clone(), name.to_owned());
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = ends.send(Ended { name: own_name, result: Err(panic_message(&*panic)), is_waited_for: false });
            }
        };
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        started.map(|_| ()).map_err(|error| StartError::Thread { name: name.to_owned(), error })
    }

    /// How many were started to be waited for.
    pub fn count(&self) -> usize {
        self.handles.len()
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("panicked: {text}")
}

/// Lets the process hold as many open files as the system allows it: each reader's connection is one.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, current = limit.current, "cannot raise the limit of open files");
    }
}

/// Pins the calling thread. Where that fails it runs unpinned, and says so.
fn pin_to(at: usize, name: &str) {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut set = rustix::thread::CpuSet::new();
    set.set(at % processors);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(thread = name, %error, "cannot pin the thread to a processor");
    }
}
