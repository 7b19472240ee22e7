//! `driftdb sim --spec FILE`: play an isolation spec, compare or accept its golden file.

use std::path::{Path, PathBuf};

use crate::bugs;
use crate::spec::{LEVELS, Places, Spec, report};

struct Request {
    file: PathBuf,
    permutation: Option<String>,
    accepts: bool,
    places: Places,
}

/// Runs the command line; returns the exit status.
pub(super) fn run(args: &[String]) -> i32 {
    let request = match parse(args) {
        Ok(request) => request,
        Err(what) => {
            eprintln!("driftdb sim: {what}\n\n{}", super::USAGE);
            return 2;
        }
    };
    match play(&request) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(what) => {
            eprintln!("driftdb sim: {what}");
            2
        }
    }
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request {
        file: PathBuf::new(),
        permutation: None,
        accepts: false,
        places: Places::default(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let mut value = || {
            let next = inline.clone().or_else(|| args.next().cloned());
            next.ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag {
            "--spec" => request.file = value()?.into(),
            "--permutation" => request.permutation = Some(value()?),
            "--accept" => request.accepts = true,
            "--set" => narrow(&value()?, &mut request.places)?,
            "--bug" => {
                let name = value()?;
                request.places.bug =
                    Some(bugs::bug(&name).ok_or_else(|| format!("no bug \"{name}\""))?);
                if !cfg!(debug_assertions) {
                    return Err("--bug has no effect in a release build".into());
                }
            }
            flag => return Err(format!("no option \"{flag}\" for a spec")),
        }
    }
    Ok(request)
}

/// Plays the spec in one place only.
fn narrow(text: &str, places: &mut Places) -> Result<(), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("\"{text}\" is not of the form KEY=VALUE"))?;
    match key.trim() {
        "storage.engine" => places.engines.push(value.trim().to_owned()),
        "concurrency.control" => places.controls.push(value.trim().to_owned()),
        "sim.isolation" => {
            let level = LEVELS.into_iter().find(|level| level.to_string() == value.trim());
            let level = level.ok_or_else(|| format!("no isolation level \"{value}\""))?;
            places.levels.push(level);
        }
        key => return Err(format!("a spec is not played with another \"{key}\"")),
    }
    Ok(())
}

/// True if all held.
fn play(request: &Request) -> Result<bool, String> {
    let io = |error: std::io::Error| format!("{}: {error}", request.file.display());
    let name = request.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut spec = Spec::parse(&name, &read(&request.file).map_err(io)?)?;
    if let Some(steps) = &request.permutation {
        spec.only(steps)?;
    }
    let report = report(&spec, &request.places)?;
    for failure in &report.failures {
        println!("FAILED: {failure}");
    }
    let golden = request.file.with_file_name("expected").join(format!("{name}.out"));
    let is_narrowed = request.permutation.is_some()
        || !request.places.engines.is_empty()
        || !request.places.controls.is_empty()
        || !request.places.levels.is_empty();
    if is_narrowed {
        print!("{}", report.text);
        return Ok(report.failures.is_empty());
    }
    if request.accepts {
        write(&golden, &report.text).map_err(io)?;
        println!("{} says what is seen", golden.display());
        return Ok(report.failures.is_empty());
    }
    let is_as_before = read(&golden).is_ok_and(|before| before == report.text);
    if !is_as_before {
        print!("{}", report.text);
        println!("FAILED: {} says otherwise; --accept takes it", golden.display());
    }
    Ok(is_as_before && report.failures.is_empty())
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[expect(clippy::disallowed_methods, reason = "a golden file is a real file")]
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text)
}
