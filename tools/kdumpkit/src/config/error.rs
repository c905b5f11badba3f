// SPDX-License-Identifier: GPL-2.0-or-later
//! What is wrong with a configuration, and where.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {path}: {source} (kdumpkit config example prints one)", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has an error.
    #[error("{path}:{line}: {message}\n    {excerpt}", path = path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Key, what was there, what is valid.
        message: String,
        /// That line.
        excerpt: String,
    },
}

/// Something wrong at a byte range of the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub span: Range<usize>,
    pub message: String,
}

impl Problem {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }

    pub fn at(self, path: &Path, text: &str) -> ConfigError {
        let start = self.span.start.min(text.len());
        let before = &text.as_bytes()[..start];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let excerpt = text.lines().nth(line - 1).unwrap_or_default().trim();
        ConfigError::Wrong {
            path: path.to_owned(),
            line,
            message: self.message,
            excerpt: excerpt.to_owned(),
        }
    }
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Self {
        Self::new(error.span().unwrap_or(0..0), error.message())
    }
}
