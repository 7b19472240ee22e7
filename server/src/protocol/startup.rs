//! What a client sends first.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::decode::{Reader, violation};
use crate::session::SessionOptions;

/// The newest version that is spoken: 3.2.
pub(super) const NEWEST_VERSION: i32 = 0x0003_0002;
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
/// PostgreSQL's limit for what comes before authentication.
const MAX_BYTES: usize = 10_000;

/// The first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello<'a> {
    /// Less than a message.
    Partial,
    /// A wish for encryption, which is answered with `N`.
    Encryption,
    Cancel {
        pid: i32,
        secret: &'a [u8],
    },
    Startup(Startup),
}

/// Who connects, and how.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Startup {
    /// Whether the client must be told which version is spoken.
    pub(super) must_negotiate: bool,
    /// Protocol options that are not known.
    pub(super) unknown_options: Vec<String>,
    pub(super) user: String,
    /// The database that is asked for; none: the default one.
    pub(super) database: Option<String>,
    pub(super) settings: Vec<(String, String)>,
}

impl Startup {
    pub(super) fn into_options(self) -> SessionOptions {
        SessionOptions { user: self.user, settings: self.settings }
    }
}

/// Reads the first message; returns how many bytes it takes, too.
///
/// # Errors
/// Not a message of this protocol. The connection must end.
pub(super) fn hello(input: &[u8]) -> Result<(Hello<'_>, usize)> {
    let Some(length) = input.first_chunk::<4>() else { return Ok((Hello::Partial, 0)) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(8..=MAX_BYTES).contains(&length) {
        return Err(violation("invalid length of startup packet"));
    }
    if input.len() < length {
        return Ok((Hello::Partial, 0));
    }
    let mut reader = Reader::new(&input[4..length]);
    let hello = match reader.i32()? {
        SSL_REQUEST | GSS_REQUEST => Hello::Encryption,
        CANCEL_REQUEST => Hello::Cancel { pid: reader.i32()?, secret: reader.rest() },
        version => Hello::Startup(startup(version, reader)?),
    };
    Ok((hello, length))
}

fn startup(version: i32, mut reader: Reader<'_>) -> Result<Startup> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let mut startup = Startup { must_negotiate: version > NEWEST_VERSION, ..Startup::default() };
    loop {
        let name = reader.string()?;
        if name.is_empty() {
            break;
        }
        let value = reader.string()?;
        match name {
            "user" => startup.user = value.to_owned(),
            "database" if value.is_empty() => {}
            "database" => startup.database = Some(value.to_owned()),
            "options" => options(value, &mut startup.settings)?,
            "replication" => {
                if !["false", "off", "no", "0"].contains(&value) {
                    return Err(SqlError::unsupported("the replication protocol"));
                }
            }
            name if name.starts_with("_pq_.") => {
                startup.must_negotiate = true;
                startup.unknown_options.push(name.to_owned());
            }
            name => startup.settings.push((name.to_owned(), value.to_owned())),
        }
    }
    if startup.user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(SqlError::new(SqlState::InvalidAuthorizationSpecification, message));
    }
    Ok(startup)
}

/// `-c name=value` and `--name=value`, separated by spaces; a backslash keeps the next character.
fn options(text: &str, settings: &mut Vec<(String, String)>) -> Result<()> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            let message = format!("invalid command-line argument for server process: {word}");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        let Some((name, value)) = assignment.split_once('=') else {
            let message = format!("--{assignment} requires a value");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: i32, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((8 + body.len()) as u32).to_be_bytes().to_vec();
        bytes.extend(version.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_startup_message_says_who_and_how() {
        let body = b"user\0me\0database\0me\0options\0-c a=1 --b-c=x\\ y\0TimeZone\0UTC\0\0";
        let bytes = packet(0x0003_0000, body);
        let (hello, length) = hello(&bytes).unwrap();
        assert_eq!(length, bytes.len());
        let Hello::Startup(startup) = hello else { panic!("{hello:?}") };
        assert_eq!(startup.user, "me");
        assert_eq!(startup.database.as_deref(), Some("me"));
        assert!(!startup.must_negotiate);
        let settings: Vec<(&str, &str)> =
            startup.settings.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(settings, [("a", "1"), ("b_c", "x y"), ("TimeZone", "UTC")]);
    }

    #[test]
    fn newer_versions_are_negotiated_and_others_refused() {
        let bytes = packet(0x0003_270f, b"user\0me\0_pq_.x\0y\0\0");
        let (Hello::Startup(startup), _) = hello(&bytes).unwrap() else { panic!("a startup") };
        assert!(startup.must_negotiate);
        assert_eq!(startup.unknown_options, ["_pq_.x"]);
        let code = |bytes: &[u8]| hello(bytes).unwrap_err().state.code();
        assert_eq!(code(&packet(0x0002_0000, b"\0")), "0A000");
        assert_eq!(code(&packet(0x0003_0000, b"\0")), "28000");
        assert_eq!(code(&packet(0x0003_0000, b"user\0a")), "08P01");
    }

    #[test]
    fn garbage_is_refused_without_waiting_for_more() {
        let code = |bytes: &[u8]| hello(bytes).unwrap_err().state.code();
        assert_eq!(code(b"GET / HTTP/1.1\r\n"), "08P01");
        assert_eq!(code(&[0, 0, 0, 4]), "08P01");
        assert_eq!(code(&[0x16, 3, 1, 0]), "08P01");
        assert_eq!(hello(b"\0\0\0").unwrap(), (Hello::Partial, 0));
        let request = packet(SSL_REQUEST, b"");
        assert_eq!(hello(&request).unwrap(), (Hello::Encryption, 8));
        let request = packet(CANCEL_REQUEST, &[0, 0, 0, 7, 1, 2, 3, 4]);
        let cancel = Hello::Cancel { pid: 7, secret: &[1, 2, 3, 4] };
        assert_eq!(hello(&request).unwrap(), (cancel, 16));
    }
}
