//! The process in which pictures are decoded. What is below here runs nowhere else.
//!
//! It gives up every right that it does not need, says which layers hold it, then reads one picture, answers, and ends.
//! One process for each picture: whatever a picture makes of its decoder, it never meets another person's picture there.

use std::{
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    model::{Header, MOST_BYTES, Refusal},
    wire::{self, Finished, Go, Headed, Made, Request, Task, WireError},
};

#[cfg(debug_assertions)]
pub mod attempts;
pub mod layers;
mod mask;
mod read;
mod small;
mod whole;

#[cfg(test)]
mod tests;

/// What was made, and the bytes of its parts.
type Work = (Made, Vec<Vec<u8>>);

/// The whole life of a decoder. An end of the pipe ends it, in whatever state.
pub fn run(limits: layers::Limits, off: &[layers::Layer]) -> Result<(), WireError> {
    let held = layers::confine(limits, off)?;
    // A panic is an answer; its words, which may be about a picture, go nowhere.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    wire::write(&mut output, &held)?;
    let request: Request = wire::read(&mut input)?;
    #[cfg(debug_assertions)]
    if let Task::Attempt(attempt) = request.task {
        return wire::write(&mut output, &attempt.run());
    }
    let bytes = picture(&mut input, request.bytes)?;
    let header = guarded(|| read::header(&bytes));
    wire::write(&mut output, &Headed::from(header))?;
    let Ok(header) = header else { return Ok(()) };
    let Go {} = wire::read(&mut input)?;
    match guarded(|| make(request.task, bytes, header)) {
        Ok((made, parts)) => {
            wire::write(&mut output, &Finished::Ok(made))?;
            for part in parts {
                io::Write::write_all(&mut output, &part)?;
            }
            Ok(io::Write::flush(&mut output)?)
        }
        Err(refusal) => wire::write(&mut output, &Finished::Err(refusal)),
    }
}

fn picture(input: &mut impl Read, length: u64) -> Result<Vec<u8>, WireError> {
    let length = usize::try_from(length.min(MOST_BYTES)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A decoder that panics could not read the picture.
fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refusal::Undecodable))
}

fn make(task: Task, bytes: Vec<u8>, header: Header) -> Result<Work, Refusal> {
    let decoded = read::decoded(&bytes, header)?;
    // Pixels take more than enough memory.
    drop(bytes);
    match task {
        Task::Examine => small::both(decoded),
        Task::Jpeg => small::jpeg(decoded),
        Task::PlainMask => mask::plain(decoded),
        Task::Pixels { width, height } => mask::pixels(decoded, width, height),
        Task::MaskPixels { width, height } => mask::repainted(decoded, width, height),
        #[cfg(debug_assertions)]
        Task::Attempt(_) => Err(Refusal::Unsupported),
    }
}
