//! The sealed form of an object: what a store holds, and the only thing it ever sees. `docs/sealed-objects.md` describes
//! it byte by byte.
//!
//! Each object has a random key of its own. Its bytes are cut into chunks, each sealed with AES-256-GCM; the nonce counts
//! the chunks and marks the last one (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015), and owner and object are
//! bound in. So a range costs the chunks that it touches, and what was flipped, swapped, cut, extended or taken from
//! another object does not open.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, Fuse},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use uuid::Uuid;

use super::{ByteStream, StorageError};
use crate::base::ids::ObjectId;

/// Plain bytes of every chunk but the last, which has fewer or as many; only an empty object's has none.
pub const CHUNK: usize = 1 << 16;
const TAG: usize = 16;
/// Name, version of the form, and the power of two that a chunk is long.
const HEADER: [u8; 8] = *b"RKSEAL\x01\x10";
/// Chunks that are sealed or opened in one go, off the threads that answer requests.
const BATCH: usize = 16;
/// Batches of one object that are worked on at the same time.
const AT_ONCE: usize = 2;

/// The key of one object, bound to the object and its owner.
#[derive(Clone)]
pub struct ObjectKey {
    key: LessSafeKey,
    id: ObjectId,
    about: [u8; 40],
}

impl ObjectKey {
    pub fn new(key: &[u8; 32], owner: Uuid, id: ObjectId) -> Result<Self, StorageError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| StorageError::Damaged(id))?;
        let mut about = [0; 40];
        let parts = HEADER.iter().chain(owner.as_bytes()).chain(id.uuid().as_bytes()).copied().collect::<Vec<_>>();
        about.copy_from_slice(&parts);
        Ok(Self { key: LessSafeKey::new(key), id, about })
    }

    /// Seven bytes of nothing, because the key is used for one object only; then the chunk and whether it is the last.
    fn nonce(number: u32, last: bool) -> Nonce {
        let [a, b, c, d] = number.to_be_bytes();
        Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(last)])
    }

    /// Seals the chunk where it stands and puts its tag after it.
    fn seal(&self, number: u32, last: bool, chunk: &mut BytesMut) -> Result<(), StorageError> {
        let sealed = self.key.seal_in_place_append_tag(Self::nonce(number, last), Aad::from(&self.about), chunk);
        sealed.map_err(|_| StorageError::Damaged(self.id))
    }

    /// Opens the chunk where it stands and cuts its tag off.
    fn open(&self, number: u32, last: bool, chunk: &mut BytesMut) -> Result<(), StorageError> {
        let opened = self.key.open_in_place(Self::nonce(number, last), Aad::from(&self.about), chunk);
        let length = opened.map_err(|_| StorageError::Damaged(self.id))?.len();
        chunk.truncate(length);
        Ok(())
    }
}

/// Where the chunks of an object of this length are.
#[derive(Clone, Copy)]
struct Layout {
    plain: u64,
}

impl Layout {
    fn chunks(self) -> u64 {
        self.plain.div_ceil(CHUNK as u64).max(1)
    }

    /// Where this chunk begins in the store; for the number of chunks, where the object ends.
    fn begin(self, chunk: u64) -> u64 {
        let bytes = (chunk * CHUNK as u64).min(self.plain);
        HEADER.len() as u64 + bytes + chunk * TAG as u64
    }
}

/// Bytes in the store of an object of this many bytes.
pub fn sealed_length(plain: u64) -> u64 {
    let layout = Layout { plain };
    layout.begin(layout.chunks())
}

/// The part of the sealed object that must be read for a range of its bytes: at most two chunks more.
pub fn sealed_range(plain: u64, range: &Range<u64>) -> Range<u64> {
    let layout = Layout { plain };
    let chunks = touched(layout, range);
    layout.begin(chunks.start)..layout.begin(chunks.end)
}

fn touched(layout: Layout, range: &Range<u64>) -> Range<u64> {
    let first = (range.start / CHUNK as u64).min(layout.chunks() - 1);
    let end = range.end.div_ceil(CHUNK as u64).max(first + 1);
    first..end
}

/// Seals a stream of any length.
pub fn seal(plain: ByteStream, key: ObjectKey) -> ByteStream {
    let header = stream::iter([Ok(Bytes::from_static(&HEADER))]);
    let sealed = batches(Reader::new(plain)).map_ok(move |(batch, last)| {
        let key = key.clone();
        off_thread(batch, move |number, chunk| key.seal(number, last == Some(number), chunk))
    });
    Box::pin(header.chain(in_order(sealed)))
}

/// Plain chunks for one go, and the number of the last chunk when it is among them.
fn batches(plain: Reader) -> impl Stream<Item = Result<(Batch, Option<u32>), StorageError>> + Send {
    stream::try_unfold(Some((plain, 0)), |state| async move {
        let Some((mut plain, first)) = state else { return Ok(None) };
        let mut chunks = Vec::with_capacity(BATCH);
        let mut number: u32 = first;
        loop {
            chunks.push(plain.fill(CHUNK).await?);
            // Only when more has come a chunk is known not to be the last.
            if plain.ended().await? {
                return Ok(Some(((Batch { first, chunks }, Some(number)), None)));
            }
            // 256 TiB; no object comes near.
            number = number.checked_add(1).ok_or(StorageError::TooLarge(u64::from(u32::MAX) * CHUNK as u64))?;
            if chunks.len() == BATCH {
                return Ok(Some(((Batch { first, chunks }, None), Some((plain, number)))));
            }
        }
    })
}

/// Opens a whole object of `plain` bytes.
pub fn open(sealed: ByteStream, key: ObjectKey, plain: u64) -> ByteStream {
    let layout = Layout { plain };
    let header = stream::once(async move {
        let mut sealed = Reader::new(sealed);
        if sealed.fill(HEADER.len()).await? != HEADER[..] {
            return Err(StorageError::Damaged(key.id));
        }
        Ok::<_, StorageError>(opened(sealed, key, layout, 0..layout.chunks()))
    });
    Box::pin(header.try_flatten())
}

/// Opens the part of an object of `plain` bytes that `sealed_range` named.
pub fn open_range(sealed: ByteStream, key: ObjectKey, plain: u64, range: Range<u64>) -> ByteStream {
    let layout = Layout { plain };
    let chunks = touched(layout, &range);
    let skip = range.start - chunks.start * CHUNK as u64;
    let state = (opened(Reader::new(sealed), key, layout, chunks), skip, range.end - range.start);
    Box::pin(stream::try_unfold(state, |(mut parts, mut skip, mut left)| async move {
        while let Some(mut part) = parts.next().await.transpose()? {
            let gone = usize::try_from(skip).unwrap_or(usize::MAX).min(part.len());
            part.advance(gone);
            skip -= gone as u64;
            part.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= part.len() as u64;
            if !part.is_empty() {
                return Ok(Some((part, (parts, skip, left))));
            }
        }
        Ok(None)
    }))
}

/// Opens chunks in order; the stream must hold exactly these.
fn opened(sealed: Reader, key: ObjectKey, layout: Layout, chunks: Range<u64>) -> ByteStream {
    let id = key.id;
    let batches = stream::try_unfold((sealed, chunks.start), move |(mut sealed, first)| async move {
        if first == chunks.end {
            return if sealed.ended().await? { Ok(None) } else { Err(StorageError::Damaged(id)) };
        }
        let next = (first + BATCH as u64).min(chunks.end);
        let mut batch =
            Batch { first: u32::try_from(first).map_err(|_| StorageError::Damaged(id))?, chunks: Vec::new() };
        for number in first..next {
            let bytes = layout.begin(number + 1) - layout.begin(number);
            let chunk = sealed.fill(usize::try_from(bytes).unwrap_or(usize::MAX)).await?;
            if chunk.len() as u64 != bytes {
                return Err(StorageError::Damaged(id));
            }
            batch.chunks.push(chunk);
        }
        Ok(Some((batch, (sealed, next))))
    });
    let plain = batches.map_ok(move |batch| {
        let key = key.clone();
        off_thread(batch, move |number, chunk| key.open(number, u64::from(number) + 1 == layout.chunks(), chunk))
    });
    Box::pin(in_order(plain))
}

/// Chunks for one go.
struct Batch {
    first: u32,
    chunks: Vec<BytesMut>,
}

/// A stream that is read in lengths of our choice.
struct Reader {
    source: Fuse<ByteStream>,
    /// What came with the last part and was not asked for yet.
    left: Bytes,
}

impl Reader {
    fn new(source: ByteStream) -> Self {
        Self { source: source.fuse(), left: Bytes::new() }
    }

    /// The next `bytes`, or what there is, with room for a tag.
    async fn fill(&mut self, bytes: usize) -> Result<BytesMut, StorageError> {
        let mut filled = BytesMut::with_capacity(bytes + TAG);
        while filled.len() < bytes && !self.ended().await? {
            let taken = self.left.len().min(bytes - filled.len());
            filled.extend_from_slice(&self.left.split_to(taken));
        }
        Ok(filled)
    }

    /// Whether nothing more comes. Waits until it is known.
    async fn ended(&mut self) -> Result<bool, StorageError> {
        while self.left.is_empty() {
            match self.source.next().await.transpose()? {
                Some(part) => self.left = part,
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// Works on some batches of an object at once, and passes on what they became in their order.
fn in_order<W>(
    batches: impl Stream<Item = Result<W, StorageError>> + Send,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send
where
    W: Future<Output = Result<Vec<Bytes>, StorageError>> + Send,
{
    batches.try_buffered(AT_ONCE).map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok))).try_flatten()
}

/// Works on each chunk where it stands. What takes more than some ten microseconds must not hold up those who answer
/// requests.
async fn off_thread(
    mut batch: Batch,
    work: impl Fn(u32, &mut BytesMut) -> Result<(), StorageError> + Send + 'static,
) -> Result<Vec<Bytes>, StorageError> {
    let alone = batch.chunks.len() == 1;
    let all = move || {
        for (chunk, number) in batch.chunks.iter_mut().zip(batch.first..) {
            work(number, chunk)?;
        }
        Ok(batch.chunks.into_iter().map(BytesMut::freeze).collect())
    };
    if alone {
        return all();
    }
    tokio::task::spawn_blocking(all).await.map_err(|error| StorageError::Interrupted(error.into()))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{base::clock::Clock, platform::storage::collect};

    const KEY: [u8; 32] = [7; 32];

    fn key_of(owner: u128, id: ObjectId) -> ObjectKey {
        ObjectKey::new(&KEY, Uuid::from_u128(owner), id).unwrap()
    }

    fn new_id() -> ObjectId {
        ObjectId::new(&Clock::system())
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn pieces(bytes: &[u8], size: usize) -> ByteStream {
        let pieces: Vec<_> = bytes.chunks(size.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Box::pin(stream::iter(pieces))
    }

    fn now<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(work)
    }

    fn sealed(plain: &[u8], piece: usize, key: ObjectKey) -> Vec<u8> {
        now(collect(seal(pieces(plain, piece), key), u64::MAX)).unwrap().to_vec()
    }

    fn opened(sealed: &[u8], plain: u64, key: ObjectKey) -> Result<Bytes, StorageError> {
        now(collect(open(pieces(sealed, 50_000), key, plain), u64::MAX))
    }

    /// Lengths around every border: nothing, one chunk, one batch.
    fn lengths() -> impl Strategy<Value = usize> {
        let near = |length: usize| (length.saturating_sub(2)..length + 3).boxed();
        prop_oneof![
            near(0),
            near(CHUNK),
            near(3 * CHUNK),
            near(BATCH * CHUNK),
            near(2 * BATCH * CHUNK),
            0..300_000usize
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_was_sealed_opens_whole_and_in_ranges(length in lengths(), piece in 1..200_000usize, from in 0.0..1.0, to in 0.0..1.0) {
            let (id, plain) = (new_id(), pattern(length));
            let sealed = sealed(&plain, piece, key_of(1, id));
            prop_assert_eq!(sealed.len() as u64, sealed_length(length as u64));
            prop_assert_eq!(&opened(&sealed, length as u64, key_of(1, id)).unwrap()[..], &plain[..]);

            let at = |share: f64| (share * length as f64) as u64;
            let range = at(f64::min(from, to))..at(f64::max(from, to));
            let part = sealed_range(length as u64, &range);
            prop_assert!(part.end - part.start <= range.end - range.start + 2 * (CHUNK + TAG) as u64
                + (range.end - range.start) / CHUNK as u64 * TAG as u64);
            let read = pieces(&sealed[part.start as usize..part.end as usize], piece);
            let read = open_range(read, key_of(1, id), length as u64, range.clone());
            prop_assert_eq!(&now(collect(read, u64::MAX)).unwrap()[..], &plain[range.start as usize..range.end as usize]);
        }

        #[test]
        fn a_flipped_bit_anywhere_is_refused(length in lengths(), at in 0.0..1.0, bit in 0..8u8) {
            let (id, plain) = (new_id(), pattern(length));
            let mut sealed = sealed(&plain, 70_000, key_of(1, id));
            let at = (at * sealed.len() as f64) as usize;
            sealed[at] ^= 1 << bit;
            prop_assert!(opened(&sealed, length as u64, key_of(1, id)).is_err());
        }

        #[test]
        fn cut_or_extended_it_is_refused_whatever_length_is_claimed(length in lengths(), change in 1..70_000usize) {
            let (id, plain) = (new_id(), pattern(length));
            let whole = sealed(&plain, 70_000, key_of(1, id));
            let cut = &whole[..whole.len().saturating_sub(change)];
            let longer = [&whole[..], &vec![0; change]].concat();
            for (bytes, claimed) in [
                (cut, length as u64), (cut, (length as u64).saturating_sub(change as u64)),
                (&longer, length as u64), (&longer, length as u64 + change as u64),
                (&whole, length as u64 + change as u64),
            ] {
                prop_assert!(opened(bytes, claimed, key_of(1, id)).is_err());
            }
        }

        #[test]
        fn garbage_is_refused(garbage in prop::collection::vec(any::<u8>(), 0..2000), claimed in 0..2000u64) {
            prop_assert!(opened(&garbage, claimed, key_of(1, new_id())).is_err());
        }
    }

    #[test]
    fn chunks_that_were_swapped_dropped_or_repeated_are_refused() {
        let (id, plain) = (new_id(), pattern(4 * CHUNK));
        let whole = sealed(&plain, 70_000, key_of(1, id));
        let chunk = |at: usize| &whole[HEADER.len() + at * (CHUNK + TAG)..HEADER.len() + (at + 1) * (CHUNK + TAG)];
        for order in [&[1, 0, 2, 3][..], &[0, 1, 2], &[0, 1, 2, 2], &[0, 1, 2, 3, 3], &[3], &[0, 2, 3], &[0, 1, 3, 2]] {
            let parts: Vec<&[u8]> = std::iter::once(&HEADER[..]).chain(order.iter().map(|at| chunk(*at))).collect();
            let claimed = (order.len() * CHUNK) as u64;
            assert!(opened(&parts.concat(), claimed, key_of(1, id)).is_err(), "{order:?}");
        }
        assert!(opened(&whole, plain.len() as u64, key_of(1, id)).is_ok());
    }

    #[test]
    fn another_object_another_owner_or_another_key_does_not_open_it() {
        let (id, plain) = (new_id(), pattern(1000));
        let whole = sealed(&plain, 70_000, key_of(1, id));
        assert!(opened(&whole, 1000, key_of(1, new_id())).is_err());
        assert!(opened(&whole, 1000, key_of(2, id)).is_err());
        assert!(opened(&whole, 1000, ObjectKey::new(&[8; 32], Uuid::from_u128(1), id).unwrap()).is_err());
    }

    /// The form is a promise to every object that is stored already.
    #[test]
    fn the_form_stays_as_it_is() {
        let id = ObjectId::from(Uuid::from_u128(2));
        let whole = sealed(b"a picture", 100, key_of(1, id));
        let form = "524b5345414c0110" /* header */.to_owned() + "5168c9095734977548" /* bytes */ + "a330a81ff3fc303130460e6041be5da8" /* tag */;
        assert_eq!(data_encoding::HEXLOWER.encode(&whole), form);
    }
}
