// SPDX-License-Identifier: GPL-2.0-or-later

use super::check::EXAMPLE;
use super::*;
use proptest::prelude::*;

const DISK: &str = "[[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\n";

fn error(text: &str) -> String {
    Config::parse(text, Path::new("k.toml"))
        .expect_err("this configuration is wrong")
        .to_string()
}

#[test]
fn example_when_parsed_has_every_type_and_survives_json() {
    let config = Config::parse(EXAMPLE, Path::new("k.toml")).unwrap();
    let names: Vec<_> = config.targets.iter().map(|t| t.kind.name()).collect();
    assert_eq!(names, ["filesystem", "nfs", "ssh", "raw"]);
    assert!(config.needs_network());
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
}

#[test]
fn defaults_when_only_a_disk_is_given() {
    let config = Config::parse(DISK, Path::new("k.toml")).unwrap();
    assert_eq!(config.filter, ["-z", "-d", "31"]);
    assert_eq!(config.final_action, Action::Reboot);
    assert_eq!(config.initramfs.modules, Modules::Auto);
    assert_eq!(config.targets[0].deadline_s, 600);
    assert!(!config.needs_network());
}

/// What is wrong, and what the message must hold: line, key or value, valid values.
#[test]
fn errors_name_line_key_value_and_what_is_valid() {
    let after_disk = |more: &str| format!("{DISK}{more}");
    let cases: [(String, &[&str]); 22] = [
        (String::new(), &["k.toml:1:", "[[target]]"]),
        ("[[target]\n".into(), &["k.toml:1:"]),
        (
            "[[target]]\ntype = \"floppy\"\n".into(),
            &["k.toml:2:", "floppy", "`filesystem`", "`raw`", "`nfs`", "`ssh`"],
        ),
        (
            "[[target]]\ntype = \"raw\"\n".into(),
            &["k.toml:1:", "device is missing"],
        ),
        (
            "[[target]]\ntype = \"raw\"\ndevice = \"UUID=1\"\n".into(),
            &["k.toml:3:", "UUID=1", "PARTUUID=", "/dev/"],
        ),
        (
            "[[target]]\ntype = \"raw\"\ndevice = \"/dev/vda\"\nhost_keys = []\n".into(),
            &["k.toml:4:", "host_keys has no meaning", "\"raw\"", "device"],
        ),
        (
            after_disk("fstype = \"ntfs\"\n"),
            &["k.toml:4:", "ntfs", "ext4, xfs, btrfs"],
        ),
        (
            after_disk("path = \"../etc\"\n"),
            &["k.toml:4:", "../etc", "without . and .."],
        ),
        (
            after_disk("deadline_s = 0\n"),
            &["k.toml:4:", "deadline_s = 0", "1 to 86400"],
        ),
        (
            after_disk("when = \"never\"\n"),
            &["k.toml:4:", "never", "`failed`", "`saved`", "`always`"],
        ),
        (
            after_disk("colour = \"red\"\n"),
            &["k.toml:4:", "colour", "`device`", "`deadline_s`"],
        ),
        (
            after_disk("retries = \"many\"\n"),
            &["k.toml:4:", "\"many\"", "u32"],
        ),
        (
            format!("final_action = \"next\"\n{DISK}"),
            &["k.toml:1:", "final_action", "shell, reboot, poweroff, halt"],
        ),
        (
            format!("failure_action = \"panic\"\n{DISK}"),
            &["k.toml:1:", "panic", "`next`", "`halt`"],
        ),
        (
            after_disk("[filter]\narguments = [\"-d\", \"99\"]\n"),
            &["k.toml:5:", "99", "kdumpkit filter --help"],
        ),
        (
            after_disk("[filter]\narguments = [\"-F\"]\n"),
            &["k.toml:5:", "-F has no place here"],
        ),
        (
            after_disk("[initramfs]\nmodules = \"all\"\n"),
            &["k.toml:5:", "\"all\"", "\"auto\"", "list of module names"],
        ),
        (
            after_disk("[hooks]\npre = [\"x.sh\"]\n"),
            &["k.toml:5:", "x.sh", "absolute path"],
        ),
        (
            "[[target]]\ntype = \"nfs\"\nserver = \"192.0.2.1\"\nexport = \"/srv\"\n".into(),
            &["k.toml:1:", "\"nfs\"", "[network]", "dhcp"],
        ),
        (
            after_disk("[network]\nipv4 = \"192.0.2.1\"\n"),
            &["k.toml:5:", "192.0.2.1", "dhcp, ADDRESS/PREFIX"],
        ),
        (
            after_disk("[network]\nipv4 = \"dhcp\"\nbond = \"fast\"\ninterfaces = [\"eth0\"]\n"),
            &["k.toml:6:", "fast", "active-backup"],
        ),
        (
            "[[target]]\ntype = \"ssh\"\nserver = \"h\"\nidentity = \"/k\"\nhost_keys = [\"AAAA\"]\n"
                .into(),
            &["k.toml:5:", "AAAA", "ALGORITHM BASE64", "ssh-keyscan"],
        ),
    ];
    for (text, wanted) in cases {
        let message = error(&text);
        for word in wanted {
            assert!(
                message.contains(word),
                "{word:?} is not in: {message}\nof:\n{text}"
            );
        }
    }
}

#[test]
fn load_when_missing_names_the_file_and_the_way_out() {
    let message = Config::load(Path::new("/nonexistent/k.toml"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("/nonexistent/k.toml"), "{message}");
    assert!(message.contains("config example"), "{message}");
}

proptest! {
    /// The example with bytes changed: an answer or an error with a line, no panic.
    #[test]
    fn parse_when_the_example_is_damaged_answers(
        edits in proptest::collection::vec((0..EXAMPLE.len(), any::<char>()), 1..8),
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, c) in edits {
            let at = at % text.len();
            text[at] = c;
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = Config::parse(&text, Path::new("k.toml")) {
            prop_assert!(error.to_string().starts_with("k.toml:"));
        }
    }
}
