//! How much of PostgreSQL's own regression files parses. The corpus is not in the repository.

use driftdb_sql::parse;

/// At least so many in a hundred of the files' statements parse: raise it when it gets better.
const RATCHET: usize = 97;

#[test]
#[expect(clippy::disallowed_methods, reason = "the corpus lies outside of the build")]
fn regression_statements_parse() {
    let folder = "/work/shared/corpora/pg15-regress/sql";
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: there is no {folder}");
        return;
    };
    let (mut all, mut good) = (0, 0);
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for statement in statements(&text) {
            all += 1;
            let parsed = parse(&statement);
            if std::env::var_os("DRIFTDB_CORPUS").is_some()
                && let Err(error) = &parsed
            {
                println!(
                    "{}: {} | {}",
                    path.display(),
                    error.message,
                    statement.replace('\n', " ")
                );
            }
            good += usize::from(parsed.is_ok());
        }
    }
    println!("{good} of {all} statements parse");
    assert!(good * 100 >= all * RATCHET, "{good} of {all} is below {RATCHET} %");
}

/// Cuts a psql script at the semicolons that end a line; psql's own commands and COPY's data go.
fn statements(script: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    let mut in_data = false;
    for line in script.lines() {
        if in_data {
            in_data = line != "\\.";
            continue;
        }
        if line.trim_start().starts_with('\\') || (current.is_empty() && line.trim().is_empty()) {
            continue;
        }
        current.push_str(line);
        current.push('\n');
        let quoted = current.matches("$$").count() % 2 == 1;
        if line.trim_end().ends_with(';') && !quoted {
            let lower = current.to_ascii_lowercase();
            in_data = lower.trim_start().starts_with("copy") && lower.contains("from stdin");
            let own = current.lines().all(|line| line.trim_start().starts_with("--"));
            if !own {
                out.push(std::mem::take(&mut current));
            }
            current.clear();
        }
    }
    out
}
