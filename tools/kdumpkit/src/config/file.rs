// SPDX-License-Identifier: GPL-2.0-or-later
//! The TOML file as a person writes it.

use super::error::Problem;
use super::network::NetworkKeys;
use super::target::TargetKeys;
use super::{Action, Compression, Config, Hooks, Initramfs, Modules};
use crate::filter::FilterArgs;
use crate::load::config::LoadConfig;
use clap::Parser;
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file. Every table has its keys' documentation in Documentation/config.rst.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    failure_action: Option<Action>,
    final_action: Option<Spanned<Action>>,
    #[serde(default)]
    target: Vec<Spanned<TargetKeys>>,
    network: Option<Spanned<NetworkKeys>>,
    #[serde(default)]
    filter: FilterKeys,
    #[serde(default)]
    initramfs: InitramfsKeys,
    #[serde(default)]
    hooks: HookKeys,
    #[serde(default)]
    load: LoadConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterKeys {
    arguments: Option<Spanned<Vec<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct InitramfsKeys {
    modules: Option<Spanned<ModulesKey>>,
    #[serde(default)]
    extra_modules: Vec<String>,
    busybox: Option<PathBuf>,
    compression: Option<Compression>,
}

/// The string `auto` or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\" or a list of module names")]
enum ModulesKey {
    Word(String),
    List(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HookKeys {
    #[serde(default)]
    pre: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    post: Vec<Spanned<PathBuf>>,
    deadline_s: Option<u64>,
}

pub(super) fn parse(text: &str) -> Result<Config, Problem> {
    let file: File = toml::from_str(text)?;
    if file.target.is_empty() {
        return Err(Problem::new(
            0..0,
            "no [[target]]: the dump would go nowhere; at least one is needed",
        ));
    }
    let targets = file
        .target
        .into_iter()
        .map(|target| {
            let span = target.span();
            target.into_inner().check(span)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let network = match file.network {
        Some(network) => {
            let span = network.span();
            Some(network.into_inner().check(span)?)
        }
        None => None,
    };
    let config = Config {
        targets: targets.iter().map(|(_, target)| target.clone()).collect(),
        network,
        filter: file.filter.check()?,
        failure_action: file.failure_action.unwrap_or(Action::Reboot),
        final_action: final_action(file.final_action)?,
        initramfs: file.initramfs.check()?,
        hooks: file.hooks.check()?,
        load: file.load,
    };
    if config.network.is_none() {
        if let Some((span, target)) = targets.iter().find(|(_, t)| t.kind.needs_network()) {
            return Err(Problem::new(
                span.clone(),
                format!(
                    "type = \"{}\" needs a [network] table (ipv4 = \"dhcp\" is enough for most)",
                    target.kind.name()
                ),
            ));
        }
    }
    Ok(config)
}

fn final_action(action: Option<Spanned<Action>>) -> Result<Action, Problem> {
    match action {
        Some(action) if *action.get_ref() == Action::Next => Err(Problem::new(
            action.span(),
            "final_action = \"next\": nothing comes next; valid are shell, reboot, poweroff, halt",
        )),
        Some(action) => Ok(action.into_inner()),
        None => Ok(Action::Reboot),
    }
}

/// For checking what [filter] arguments says.
#[derive(Debug, Parser)]
#[command(name = "filter", disable_version_flag = true)]
struct FilterCommand {
    #[command(flatten)]
    args: FilterArgs,
}

impl FilterKeys {
    fn check(self) -> Result<Vec<String>, Problem> {
        let Some(arguments) = self.arguments else {
            return Ok(["-z", "-d", "31"].map(String::from).to_vec());
        };
        let span = arguments.span();
        let arguments = arguments.into_inner();
        let problem = |why: String| {
            Problem::new(
                span.clone(),
                format!(
                    "arguments = {arguments:?}: {why} (see kdumpkit filter --help; no file names, the targets say where to)"
                ),
            )
        };
        let words = std::iter::once("filter").chain(arguments.iter().map(String::as_str));
        let args = FilterCommand::try_parse_from(words)
            .map_err(|error| {
                let text = error.to_string();
                problem(text.lines().next().unwrap_or_default().to_owned())
            })?
            .args;
        let refused = [
            ("a file name", !args.files.is_empty()),
            ("-F", args.flattened),
            ("-R", args.rearrange),
            ("--split", args.split),
            ("--dump-dmesg", args.dump_dmesg),
            ("--explain", args.explain.is_some()),
            ("-g", args.generate.is_some()),
            ("-i, which is set by itself", args.info.is_some()),
            ("-x", args.vmlinux.is_some()),
        ];
        match refused.iter().find(|(_, there)| *there) {
            Some((what, _)) => Err(problem(format!("{what} has no place here"))),
            None => Ok(arguments),
        }
    }
}

impl InitramfsKeys {
    fn check(self) -> Result<Initramfs, Problem> {
        let modules = match self.modules {
            None => Modules::Auto,
            Some(modules) => {
                let span = modules.span();
                match modules.into_inner() {
                    ModulesKey::List(names) => Modules::List(names),
                    ModulesKey::Word(word) if word == "auto" => Modules::Auto,
                    ModulesKey::Word(word) => {
                        return Err(Problem::new(
                            span,
                            format!(
                                "modules = \"{word}\": valid are \"auto\" and a list of module names"
                            ),
                        ));
                    }
                }
            }
        };
        let default = Initramfs::default();
        Ok(Initramfs {
            modules,
            extra_modules: self.extra_modules,
            busybox: self.busybox.unwrap_or(default.busybox),
            compression: self.compression.unwrap_or(default.compression),
        })
    }
}

impl HookKeys {
    fn check(self) -> Result<Hooks, Problem> {
        for hook in self.pre.iter().chain(&self.post) {
            if !hook.get_ref().is_absolute() {
                return Err(Problem::new(
                    hook.span(),
                    format!(
                        "hook \"{}\": an absolute path is needed",
                        hook.get_ref().display()
                    ),
                ));
            }
        }
        let paths = |hooks: Vec<Spanned<PathBuf>>| hooks.into_iter().map(Spanned::into_inner);
        Ok(Hooks {
            pre: paths(self.pre).collect(),
            post: paths(self.post).collect(),
            deadline_s: self.deadline_s.unwrap_or(60),
        })
    }
}
