//! Tables for spreadsheets: quoted as RFC 4180 says, and no cell is ever a formula.

use csv::{Terminator, WriterBuilder};

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
