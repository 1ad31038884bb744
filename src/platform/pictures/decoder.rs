//! The server's side of one decoder: started, asked, ended.

use std::{
    future::Future,
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe::{Receiver, Sender},
    time::timeout,
};

use super::{
    LARGE, PictureError, Pool, SUBCOMMAND, Setup,
    checked::{self, Answer},
    model::{Header, MediaType, Refusal},
    wire::{self, Finished, Go, Headed, Held, Made, Request, Task, WireError},
};

/// Enough of a file to know its format.
const HEAD: usize = 12;
/// How long a decoder may take to start; a busy machine is slow.
const START: Duration = Duration::from_secs(20);

pub struct Decoder {
    child: Child,
    /// Taken by the runtime that asks it: a pipe belongs to one.
    pipes: Option<(OwnedFd, OwnedFd)>,
    talk: Option<Talk>,
}

struct Talk {
    to: Sender,
    from: Receiver,
    deadline: Duration,
}

/// Why there is no answer.
pub enum Broken<E> {
    /// The picture did not come to its end.
    Source(E),
    Refused(Refusal),
    /// The decoder died, was too slow, or said what it must not say.
    Decoder(String),
}

impl<E> From<Refusal> for Broken<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E> From<WireError> for Broken<E> {
    fn from(error: WireError) -> Self {
        Self::Decoder(crate::base::error::chain(&error))
    }
}

impl<E> From<io::Error> for Broken<E> {
    fn from(error: io::Error) -> Self {
        WireError::from(error).into()
    }
}

impl Decoder {
    #[expect(clippy::disallowed_methods, reason = "its home: the process that holds a decoder")]
    pub fn start(setup: &Setup) -> io::Result<Self> {
        let limits = setup.limits();
        let mut command = Command::new(&setup.program);
        command.arg(SUBCOMMAND);
        command.args(["--memory", &limits.memory.to_string(), "--seconds", &limits.seconds.to_string()]);
        if cfg!(debug_assertions) {
            command.args(setup.off.iter().flat_map(|layer| ["--without", layer.as_str()]));
        }
        // Ctrl-C in the terminal is for us.
        command.env_clear().current_dir("/").process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let pipes = pipes.map(|(to, from)| (to.into(), from.into()));
        Ok(Self { child, pipes, talk: None })
    }

    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What confines it, which must be enough.
    pub async fn held(&mut self, setup: &Setup) -> Result<Held, PictureError> {
        let held = async {
            let (to, from) = self.pipes.take().ok_or_else(|| io::Error::other("it has no pipes"))?;
            let (to, from) = (Sender::from_owned_fd(to)?, Receiver::from_owned_fd(from)?);
            let talk = self.talk.insert(Talk { to, from, deadline: setup.deadline });
            wire::receive::<Held>(&mut talk.from).await.map_err(io::Error::other)
        };
        let held = timeout(START, held).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let held = held.map_err(PictureError::Unavailable)?;
        setup.judge(held)?;
        Ok(held)
    }

    /// The whole conversation about one picture.
    pub async fn decode<E>(
        &mut self,
        task: Task,
        length: u64,
        bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
        pool: &Pool,
    ) -> Result<Answer, Broken<E>> {
        let talk = self.talk.as_mut().ok_or_else(|| Broken::Decoder("it was not asked what holds it".to_owned()))?;
        talk.say(&Request { task, bytes: length }).await?;
        let media_type = talk.send(length, bytes).await?;
        let header = within(talk.deadline, wire::receive::<Headed>(&mut talk.from)).await??.bounded()?;
        if media_type != Some(header.media_type) {
            return Err(Broken::Decoder("it names another format".to_owned()));
        }
        // Never closed.
        let _large = if header.pixels() > LARGE { pool.large.acquire().await.ok() } else { None };
        talk.say(&Go {}).await?;
        within(talk.deadline, talk.answer(task, header)).await
    }

    /// Ends it at once, and says how it has ended.
    pub fn end(&mut self) -> String {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}")),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.end();
    }
}

impl Talk {
    async fn say<E>(&mut self, message: &impl Serialize) -> Result<(), Broken<E>> {
        let frame = wire::framed(message)?;
        within(self.deadline, self.to.write_all(&frame)).await
    }

    /// Passes the picture on as it comes, and tells its format by its first bytes.
    async fn send<E>(
        &mut self,
        length: u64,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Option<MediaType>, Broken<E>> {
        let (mut head, mut sent) = (Vec::new(), 0);
        while let Some(part) = bytes.next().await {
            let part = part.map_err(Broken::Source)?;
            head.extend(part.iter().take(HEAD.saturating_sub(head.len())));
            sent += part.len() as u64;
            within(self.deadline, self.to.write_all(&part)).await?;
        }
        if sent == length { Ok(MediaType::of(&head)) } else { Err(Refusal::Undecodable.into()) }
    }

    async fn answer<E>(&mut self, task: Task, header: Header) -> Result<Answer, Broken<E>> {
        let made: Made = wire::receive::<Finished>(&mut self.from).await??;
        let mut files = Vec::new();
        for length in checked::lengths(task, &made).ok_or_else(|| Broken::Decoder("its answer is too long".into()))? {
            let mut file = vec![0; length];
            self.from.read_exact(&mut file).await?;
            files.push(Bytes::from(file));
        }
        Ok(Answer { header, made, files })
    }
}

/// A decoder that says nothing for so long never will.
async fn within<T, E, F: Into<Broken<E>>>(
    deadline: Duration,
    work: impl Future<Output = Result<T, F>>,
) -> Result<T, Broken<E>> {
    match timeout(deadline, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Broken::Decoder(format!("it took longer than {} seconds", deadline.as_secs()))),
    }
}
