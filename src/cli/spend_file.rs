//! A file of figures: rows in, chunks of good ones out, the others into a file beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use csv::{ByteRecord, Position, Reader, ReaderBuilder, Terminator, Writer, WriterBuilder};
use mingpian::domain::{
    Day, FieldViolation, ID_RULE, Merchant, Money, SourceNames, SourceRoom, SpendEntry,
    money::CURRENCY, spend::one_too_many,
};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

const COLUMNS: [&str; 5] = ["merchant", "day", "source", "amount", "currency"];

/// The first line is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("the first line must name the columns merchant, day, source, amount, currency")]
pub struct HeaderError;

/// Good rows, and how many bytes of the file are read with them.
pub struct Chunk {
    pub entries: Vec<SpendEntry>,
    pub position: u64,
}

impl Chunk {
    /// In the order in which they are written, so that the store need not sort them while it
    /// keeps others waiting. Stable: of figures of one key the last is the latest.
    fn new(mut entries: Vec<SpendEntry>, position: u64) -> Self {
        entries.sort_by(|a, b| a.key().cmp(&b.key()));
        Self { entries, position }
    }
}

/// What a whole file held.
#[derive(Default)]
pub struct Contents {
    pub rejected: u64,
    /// Whether every row of a source's day was good.
    days: BTreeMap<String, BTreeMap<Day, bool>>,
    /// A rejected row may be of any source and day.
    stray: bool,
}

/// A file that is open at its first row.
pub struct SpendFile {
    reader: Reader<File>,
    /// Where in a row each of [`COLUMNS`] stands.
    columns: [usize; 5],
    header: ByteRecord,
    rejects: Rejects,
    today: Day,
    sources: SourceNames,
    room: SourceRoom,
    /// Rows before this byte are in already.
    from: u64,
    /// The file's length, where its last line has no end.
    unended: u64,
}

impl SpendFile {
    /// Opens a file whose bytes before `from` are in, on the business day `today`.
    pub fn open(
        path: &Path,
        today: Day,
        (sources, room): (SourceNames, SourceRoom),
        from: u64,
    ) -> anyhow::Result<Self> {
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            // With its own notion of Windows' line ends it miscounts the lines.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER)
            .from_reader(File::open(path)?);
        let mut header = reader.byte_headers()?.clone();
        without_carriage_return(&mut header);
        let place = |column: &str| header.iter().position(|name| name == column.as_bytes());
        let places: Vec<_> = COLUMNS.iter().filter_map(|column| place(column)).collect();
        let columns = places.try_into().map_err(|_| HeaderError)?;
        if header.len() != COLUMNS.len() {
            return Err(HeaderError.into());
        }
        Ok(Self {
            reader,
            columns,
            header,
            rejects: Rejects::beside(path)?,
            today,
            sources,
            room,
            from,
            unended: unended(path)?,
        })
    }

    /// Reads to the end, `rows` in a chunk, or until `take` wants no more. Rows that are in already are judged
    /// once more, so that what is told at the end is told of the whole file.
    pub fn read(
        mut self,
        rows: usize,
        mut take: impl FnMut(Chunk) -> bool,
    ) -> anyhow::Result<Contents> {
        let (mut read, mut row) = (Contents::default(), ByteRecord::new());
        let mut entries = Vec::new();
        while self.reader.read_byte_record(&mut row)? {
            let begins = row.position().map_or(0, Position::byte);
            without_carriage_return(&mut row);
            if row.len() == 1 && row[0].is_empty() {
                continue;
            }
            match self.entry(&row) {
                Ok(entry) => {
                    read.good(&entry);
                    if begins >= self.from {
                        entries.push(entry);
                    }
                }
                Err(violation) => self.reject(&row, &violation, &mut read)?,
            }
            if entries.len() == rows {
                let entries = std::mem::replace(&mut entries, Vec::with_capacity(rows));
                let position = self.reader.position().byte();
                if !take(Chunk::new(entries, position)) {
                    break;
                }
            }
        }
        let position = self.reader.position().byte();
        if !entries.is_empty() {
            take(Chunk::new(entries, position));
        }
        self.rejects.finish()?;
        Ok(read)
    }

    fn entry(&mut self, row: &ByteRecord) -> Result<SpendEntry, FieldViolation> {
        let [merchant, day, source, amount, currency] = self.fields(row)?;
        let money = if currency == CURRENCY {
            Money::parse(amount)
        } else {
            return Err(violation("currency", "must be CNY, the ledger's currency"));
        };
        let entry = SpendEntry::new(
            Merchant::from_id(merchant).ok_or_else(|| format!("{ID_RULE}; without merchants/")),
            Day::parse(day).ok_or("must be a day such as 2026-01-31"),
            self.sources.source(source),
            money,
            self.today,
        )?;
        if self.room.admit(&entry.source) {
            Ok(entry)
        } else {
            Err(one_too_many())
        }
    }

    fn fields<'a>(&self, row: &'a ByteRecord) -> Result<[&'a str; 5], FieldViolation> {
        if row.len() != COLUMNS.len() {
            return Err(violation("row", "must have 5 columns"));
        }
        let mut fields = [""; 5];
        for (i, place) in self.columns.iter().enumerate() {
            let text = std::str::from_utf8(&row[*place]);
            fields[i] = text.map_err(|_| violation(COLUMNS[i], "must be UTF-8"))?;
        }
        Ok(fields)
    }

    fn reject(
        &mut self,
        row: &ByteRecord,
        violation: &FieldViolation,
        read: &mut Contents,
    ) -> csv::Result<()> {
        let of = self.fields(row).ok().and_then(|[_, day, source, ..]| {
            Some((self.sources.source(source).ok()?, Day::parse(day)?))
        });
        read.bad(of);
        let after = self.reader.position();
        // Blank lines before a row are its own to the reader, so its end is what counts.
        let ended = u64::from(after.byte() != self.unended);
        let line = after.line() - ended;
        self.rejects.add(&self.header, line, row, violation)
    }
}

impl Contents {
    /// Days before today of which every row was good.
    pub fn whole_days(&self, today: Day) -> Vec<(String, Day)> {
        if self.stray {
            return Vec::new();
        }
        let days = self.days.iter().flat_map(|(source, days)| {
            let whole = days.iter().filter(|(_, whole)| **whole);
            whole.map(|(day, _)| (source.clone(), *day))
        });
        days.filter(|(_, day)| *day < today).collect()
    }

    fn good(&mut self, entry: &SpendEntry) {
        // Looked up without a copy of the name: it is known but for the first row.
        match self.days.get_mut(&entry.source) {
            Some(days) => {
                days.entry(entry.day).or_insert(true);
            }
            None => {
                let days = BTreeMap::from([(entry.day, true)]);
                self.days.insert(entry.source.clone(), days);
            }
        }
    }

    fn bad(&mut self, of: Option<(String, Day)>) {
        self.rejected += 1;
        match of {
            Some((source, day)) => {
                self.days.entry(source).or_default().insert(day, false);
            }
            None => self.stray = true,
        }
    }
}

/// `FILE.csv.rejects.csv`; there only where there is something to say.
struct Rejects {
    path: PathBuf,
    writer: Option<Writer<File>>,
}

impl Rejects {
    /// Beside a file; what an earlier run left there goes.
    fn beside(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".rejects.csv");
        let path = PathBuf::from(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        Ok(Self { path, writer: None })
    }

    fn add(
        &mut self,
        header: &ByteRecord,
        line: u64,
        row: &ByteRecord,
        violation: &FieldViolation,
    ) -> csv::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let mut writer = WriterBuilder::new().flexible(true).from_path(&self.path)?;
                let named = ["line", "field", "reason"].map(str::as_bytes);
                writer.write_byte_record(&named.into_iter().chain(header).collect())?;
                self.writer.insert(writer)
            }
        };
        let line = line.to_string();
        let why = [&line, &violation.field, &violation.description].map(|s| s.as_bytes());
        writer.write_byte_record(&why.into_iter().chain(row).collect())
    }

    fn finish(self) -> io::Result<()> {
        self.writer.map_or(Ok(()), |mut writer| writer.flush())
    }
}

/// What is left of Windows' line end.
fn without_carriage_return(row: &mut ByteRecord) {
    let Some(last) = row.iter().next_back() else {
        return;
    };
    if let Some(text) = last.strip_suffix(b"\r") {
        let fields = row.iter().take(row.len() - 1).chain([text]);
        let mut trimmed: ByteRecord = fields.collect();
        trimmed.set_position(row.position().cloned());
        *row = trimmed;
    }
}

/// The length of a file whose last byte ends no line; else no place in it.
fn unended(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(if last == [b'\n'] { u64::MAX } else { length })
}

fn violation(field: &str, rule: &str) -> FieldViolation {
    FieldViolation {
        field: field.to_owned(),
        description: rule.to_owned(),
    }
}
