//! `driftdb config`

use std::process::ExitCode;

use driftdb_env::Env;
use driftdb_server::Config;
use driftdb_server::config::{settings, variable_name};

use crate::options::NodeOptions;

pub(crate) fn run(options: &NodeOptions) -> anyhow::Result<ExitCode> {
    let config = options.config(&Env::os())?;
    let defaults = Config::default();
    for setting in settings() {
        let value = config.get(setting.key).unwrap_or_default();
        let default = defaults.get(setting.key).unwrap_or_default();
        println!("{} = {value}", setting.key);
        println!("    {}", setting.meaning);
        let changed = if value == default { "" } else { " (changed)" };
        println!(
            "    {}; default {default}{changed}; variable {}",
            setting.unit,
            variable_name(setting.key)
        );
    }
    Ok(ExitCode::SUCCESS)
}
