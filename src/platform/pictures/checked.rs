//! What comes back from a decoder, looked at again: it may have been taken over by the picture that it read.

use bytes::Bytes;

use super::{
    model::{Header, MOST_BYTES, MediaType, Picture, Refusal, Size, Small},
    stated,
    wire::{Made, Part, Task},
};

/// Bytes of a small picture; those of 1440 pixels that were painted to be large have about two million.
const MOST_SMALL: u64 = 8 * 1024 * 1024;

pub struct Answer {
    /// What the decoder said at first, within the bounds.
    pub header: Header,
    pub made: Made,
    /// One for each part of `made`.
    pub files: Vec<Bytes>,
}

/// How many bytes follow, if there are as many parts as were asked for and none is too long.
pub fn lengths(task: Task, made: &Made) -> Option<Vec<usize>> {
    let (parts, most) = match task {
        Task::Examine => (Size::ALL.len(), MOST_SMALL),
        Task::Jpeg => (1, MOST_SMALL),
        Task::PlainMask => (1, MOST_BYTES),
        Task::Pixels { width, height } => (1, u64::from(width) * u64::from(height) * 3),
        Task::MaskPixels { width, height } => (1, u64::from(width) * u64::from(height)),
        #[cfg(debug_assertions)]
        Task::Attempt(_) => (0, 0),
    };
    if made.parts.len() != parts || made.parts.iter().any(|part| part.bytes > most) {
        return None;
    }
    made.parts.iter().map(|part| usize::try_from(part.bytes).ok()).collect()
}

/// The facts of a picture and its small pictures.
pub fn picture(answer: Answer) -> Result<Picture, Refusal> {
    let Answer { header: Header { media_type, width, height }, made, files } = answer;
    let turned = [(width, height), (height, width)].contains(&(made.width, made.height));
    if !turned || !(5..=25).contains(&made.thumbhash.len()) || files.len() != Size::ALL.len() {
        return Err(Refusal::Undecodable);
    }
    let small = Size::ALL.into_iter().zip(made.parts).zip(files);
    let small = small.map(|((size, part), bytes)| small_picture(size, part, bytes)).collect::<Result<_, _>>()?;
    Ok(Picture { media_type, width: made.width, height: made.height, thumbhash: made.thumbhash, small })
}

fn small_picture(size: Size, part: Part, bytes: Bytes) -> Result<Small, Refusal> {
    let Part { width, height, .. } = part;
    if width.max(height) > size.pixels() || !is(&bytes, MediaType::WebP, width, height) {
        return Err(Refusal::Undecodable);
    }
    Ok(Small { size, width, height, bytes })
}

/// A file of the same size in another format.
pub fn file(answer: Answer, media_type: MediaType) -> Result<Bytes, Refusal> {
    let Answer { header, made, files } = answer;
    let turned = [(header.width, header.height), (header.height, header.width)].contains(&(made.width, made.height));
    let file = files.into_iter().next().filter(|file| turned && is(file, media_type, made.width, made.height));
    file.ok_or(Refusal::Undecodable)
}

fn is(bytes: &[u8], media_type: MediaType, width: u32, height: u32) -> bool {
    MediaType::of(bytes) == Some(media_type) && width > 0 && height > 0 && stated::size(bytes) == Some((width, height))
}

/// Plain numbers, `each` bytes for a pixel.
pub fn pixels(answer: Answer, width: u32, height: u32, each: u64) -> Result<Bytes, Refusal> {
    let wanted = u64::from(width) * u64::from(height) * each;
    let pixels = answer.files.into_iter().next().filter(|pixels| pixels.len() as u64 == wanted);
    pixels.ok_or(Refusal::Undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lossy WebP's first bytes.
    fn webp(width: u16, height: u16) -> Bytes {
        let mut bytes = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a".to_vec();
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.into()
    }

    fn answer() -> Answer {
        let (small, large) = (webp(320, 160), webp(1000, 500));
        let part = |file: &Bytes, width, height| Part { width, height, bytes: file.len() as u64 };
        let parts = vec![part(&small, 320, 160), part(&large, 1000, 500)];
        Answer {
            header: Header { media_type: MediaType::Png, width: 1000, height: 500 },
            made: Made { width: 1000, height: 500, thumbhash: vec![0; 20], parts },
            files: vec![small, large],
        }
    }

    #[test]
    fn a_good_answer_is_taken() {
        let picture = picture(answer()).unwrap();
        assert_eq!((picture.width, picture.height, picture.small.len()), (1000, 500, 2));
        let mut turned = answer();
        (turned.made.width, turned.made.height) = (500, 1000);
        assert!(super::picture(turned).is_ok());
    }

    type Lie = (&'static str, fn(&mut Answer));

    #[test]
    fn lies_are_refused() {
        let lies: [Lie; 9] = [
            ("a size that the header has not", |answer| answer.made.width = 999),
            ("a hash that is none", |answer| answer.made.thumbhash.clear()),
            ("a hash that is long", |answer| answer.made.thumbhash = vec![0; 26]),
            ("a file is missing", |answer| answer.files.truncate(1)),
            ("a tile that is large", |answer| {
                answer.files[0] = webp(321, 160);
                answer.made.parts[0].width = 321;
            }),
            ("another size in the file", |answer| answer.files[0] = webp(320, 161)),
            ("no picture", |answer| answer.files[1] = Bytes::from_static(b"<svg onload='alert(1)'/>")),
            ("another format", |answer| answer.files[1] = Bytes::from_static(b"GIF89a\xe8\x03\xf4\x01")),
            ("no pixels", |answer| {
                answer.files[0] = webp(0, 0);
                (answer.made.parts[0].width, answer.made.parts[0].height) = (0, 0);
            }),
        ];
        for (lie, tell) in lies {
            let mut answer = answer();
            tell(&mut answer);
            assert!(picture(answer).is_err(), "{lie}");
        }
        let mut wrong = answer();
        wrong.files = vec![Bytes::from_static(b"GIF89a\xe8\x03\xf4\x01")];
        assert!(file(wrong, MediaType::Png).is_err());
        assert!(pixels(answer(), 10, 10, 3).is_err());
    }

    #[test]
    fn lengths_are_bounded_before_memory_is_taken() {
        let mut made = answer().made;
        assert_eq!(lengths(Task::Examine, &made).unwrap().len(), 2);
        assert!(lengths(Task::Jpeg, &made).is_none(), "too many parts");
        made.parts[1].bytes = u64::MAX;
        assert!(lengths(Task::Examine, &made).is_none());
        made.parts.truncate(1);
        made.parts[0].bytes = 301;
        assert!(lengths(Task::Pixels { width: 10, height: 10 }, &made).is_none());
        assert!(lengths(Task::MaskPixels { width: 10, height: 10 }, &made).is_none());
    }
}
