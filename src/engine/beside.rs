//! Work that is done beside other work, on threads that end with it.

use super::StartError;

/// Does some work on threads that end before this returns, and `own` on the calling one. A panic in one of them goes on here.
///
/// # Errors
/// The operating system has no thread to give; what was begun is done then, and `own` is not.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn beside(works: Vec<(&str, Work<'_>)>, own: impl FnOnce()) -> Result<(), StartError> {
    std::thread::scope(|scope| {
        for (name, work) in works {
            let started = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
            started.map_err(|error| StartError::Thread { name: name.to_owned(), error })?;
        }
        own();
        Ok(())
    })
}

/// Something to be done once.
pub type Work<'a> = Box<dyn FnOnce() + Send + 'a>;
