//! Tables for spreadsheets: quoted as RFC 4180 says, and no cell is ever a formula.

use actix_web::{HttpResponse, http::header, web::Bytes};
use csv::{Terminator, WriterBuilder};
use futures::stream;
use uuid::Uuid;

use crate::base::error::chain;

/// Rows that are in memory at the same time.
pub const AT_ONCE: u32 = 500;

/// Rows with what the next ones come after, if there are more.
pub type Piece<const N: usize> = (Vec<[String; N]>, Option<Uuid>);

/// A table for download, sent as it is read: a year takes no more memory than a screen. `next` brings the rows after the
/// one that it is given.
pub fn download<const N: usize, E, F, G>(name: &str, head: [&'static str; N], next: F) -> HttpResponse
where
    E: std::error::Error + Send + Sync + 'static,
    F: Fn(Option<Uuid>) -> G + 'static,
    G: Future<Output = Result<Piece<N>, E>> + 'static,
{
    enum Next {
        Head,
        After(Option<Uuid>),
        Nothing,
    }
    let pieces = stream::try_unfold((Next::Head, next), move |(at, next)| async move {
        let after = match at {
            Next::Nothing => return Ok(None),
            Next::Head => {
                let head = rows([head.map(str::to_owned)])?;
                return Ok(Some((Bytes::from(head), (Next::After(None), next))));
            }
            Next::After(id) => id,
        };
        // An error in the middle can only break the answer off; why goes to the log.
        let piece = next(after).await.inspect_err(|error| tracing::error!(error = chain(error), "an export broke off"));
        let (cells, last) = piece?;
        let then = last.map_or(Next::Nothing, |id| Next::After(Some(id)));
        Ok::<_, Box<dyn std::error::Error>>(Some((Bytes::from(rows(cells)?), (then, next))))
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")))
        .streaming(pieces)
}

/// Rows as they are sent, each ending in a line break.
pub fn rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.map(harmless))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Spreadsheets calculate what begins like a formula. After an apostrophe it is text.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(table: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table);
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn nothing_is_calculated() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0=1"] {
            let table = rows([[cell.to_owned(), "plain".to_owned()]]).unwrap();
            assert_eq!(read(&table), [[format!("'{cell}"), "plain".to_owned()]]);
        }
        assert_eq!(rows([["a \"b\", c".to_owned(), "1-2".to_owned()]]).unwrap(), b"\"a \"\"b\"\", c\",1-2\r\n");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(one in any::<String>(), other in any::<String>()) {
            let table = rows([["first".to_owned(), one.clone(), other.clone()]]).unwrap();
            let found = read(&table).pop().unwrap();
            for (cell, written) in found.iter().skip(1).zip([one, other]) {
                let guarded = cell.strip_prefix('\'').filter(|rest| *rest == written && harmless(written.clone()) != written);
                prop_assert!(*cell == written || guarded.is_some());
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']));
            }
        }
    }
}
