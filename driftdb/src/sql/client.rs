//! The client's side of the protocol: as much as a shell needs.

use anyhow::{Context, bail};

use super::link::Link;

/// A connection to a database.
pub(super) struct Client {
    link: Box<dyn Link>,
    input: Vec<u8>,
    /// `I`, `T` or `E`.
    pub(super) status: u8,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResultColumn {
    pub(super) name: String,
    pub(super) type_oid: u32,
}

/// An error or notice: codes and texts of its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    fields: Vec<(u8, String)>,
}

impl Report {
    pub(super) fn field(&self, code: u8) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == code).map(|(_, text)| text.as_str())
    }
}

/// What a string of statements answers, piece by piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Columns(Vec<ResultColumn>),
    Row(Vec<Option<String>>),
    Complete(String),
    Notice(Report),
    Error(Report),
    CopyData(Vec<u8>),
    /// COPY's bytes are awaited.
    CopyIn,
    /// All is answered.
    Ready,
    /// Nothing to show.
    Other,
}

/// A cursor over a message's body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).context("a message is too short")?;
        self.0 = tail;
        Ok(head)
    }

    fn u16(&mut self) -> anyhow::Result<u16> {
        Ok(u16::from_be_bytes(self.bytes(2)?.try_into()?))
    }

    fn i32(&mut self) -> anyhow::Result<i32> {
        Ok(i32::from_be_bytes(self.bytes(4)?.try_into()?))
    }

    fn string(&mut self) -> anyhow::Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).context("a string does not end")?;
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Ok(text)
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

impl Client {
    /// Says hello.
    pub(super) fn connect(link: Box<dyn Link>, user: &str, database: &str) -> anyhow::Result<Self> {
        let mut client = Self { link, input: Vec::new(), status: b'I' };
        let mut body = 0x0003_0000u32.to_be_bytes().to_vec();
        let mut parameters = vec![("user", user), ("application_name", "driftdb sql")];
        if !database.is_empty() {
            parameters.push(("database", database));
        }
        for (name, value) in parameters {
            body.extend(name.as_bytes());
            body.push(0);
            body.extend(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut hello = (body.len() as u32 + 4).to_be_bytes().to_vec();
        hello.extend(body);
        client.link.send(&hello)?;
        loop {
            match client.next()? {
                Event::Ready => return Ok(client),
                Event::Error(report) => {
                    let text = report.field(b'M').unwrap_or("the server refused the connection");
                    bail!(
                        "{text}{}",
                        report.field(b'H').map(|h| format!(" ({h})")).unwrap_or_default()
                    );
                }
                _ => {}
            }
        }
    }

    /// Sends a string of statements; [`Client::next`] gives the answers.
    pub(super) fn query(&mut self, text: &str) -> anyhow::Result<()> {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.link.send(&message(b'Q', &body))
    }

    /// Sends some of COPY's bytes.
    pub(super) fn copy_data(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.link.send(&message(b'd', bytes))
    }

    /// COPY's bytes are complete.
    pub(super) fn copy_done(&mut self) -> anyhow::Result<()> {
        self.link.send(&message(b'c', &[]))
    }

    /// There are no more of COPY's bytes, because of this.
    pub(super) fn copy_fail(&mut self, why: &str) -> anyhow::Result<()> {
        self.link.send(&message(b'f', &[why.as_bytes(), &[0]].concat()))
    }

    /// The next piece of an answer.
    pub(super) fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            if let Some(length) = self.input.get(1..5) {
                let length = u32::from_be_bytes(length.try_into()?) as usize;
                if self.input.len() > length {
                    let rest = self.input.split_off(1 + length);
                    let whole = std::mem::replace(&mut self.input, rest);
                    return self.read(whole[0], &whole[5..]);
                }
            }
            self.link.receive(&mut self.input)?;
        }
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> anyhow::Result<Event> {
        let mut body = Body(body);
        Ok(match kind {
            b'T' => {
                let count = body.u16()?;
                let mut columns = Vec::new();
                for _ in 0..count {
                    let name = body.string()?;
                    body.bytes(6)?;
                    let type_oid = body.i32()?.cast_unsigned();
                    body.bytes(8)?;
                    columns.push(ResultColumn { name, type_oid });
                }
                Event::Columns(columns)
            }
            b'D' => {
                let count = body.u16()?;
                let mut row = Vec::new();
                for _ in 0..count {
                    row.push(match usize::try_from(body.i32()?) {
                        Ok(length) => {
                            Some(String::from_utf8_lossy(body.bytes(length)?).into_owned())
                        }
                        Err(_) => None,
                    });
                }
                Event::Row(row)
            }
            b'C' => Event::Complete(body.string()?),
            b'Z' => {
                self.status = body.bytes(1)?[0];
                Event::Ready
            }
            b'E' | b'N' => {
                let mut report = Report::default();
                loop {
                    let code = body.bytes(1)?[0];
                    if code == 0 {
                        break;
                    }
                    report.fields.push((code, body.string()?));
                }
                if kind == b'E' { Event::Error(report) } else { Event::Notice(report) }
            }
            b'd' => Event::CopyData(body.0.to_vec()),
            b'G' => Event::CopyIn,
            b'R' if body.i32()? != 0 => {
                bail!("the server wants a password, which is not supported")
            }
            _ => Event::Other,
        })
    }
}
