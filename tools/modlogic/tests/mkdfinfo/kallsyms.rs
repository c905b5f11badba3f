// SPDX-License-Identifier: GPL-2.0-or-later
//! The kallsyms reader.

use crate::blob::Symbols;
use modlogic::mkdfinfo::kallsyms::{ByName, Error, Found, Tables};
use proptest::prelude::*;

const TOKENS: [&str; 6] = ["T__", "d_", "init", "_task", "node", "states"];

fn small() -> Symbols {
    Symbols::new(
        &TOKENS,
        &[
            ('T', "__pfx_start", 0xffff_ffff_8100_0000),
            ('T', "_stext", 0xffff_ffff_8100_0000),
            ('d', "init_task", 0xffff_ffff_8321_1140),
            ('d', "init_task_2", 0xffff_ffff_8321_1150),
            ('d', "node_states", 0xffff_ffff_8355_0100),
            ('b', "twice", 0xffff_ffff_8400_0000),
            ('b', "twice", 0xffff_ffff_8400_0008),
            ('A', "", 0xffff_ffff_8400_0010),
        ],
    )
}

fn find(tables: &Tables<'_>, names: &[&str]) -> Result<Vec<Found>, Error> {
    let mut found = vec![Found::default(); names.len()];
    tables.find(names, &mut found)?;
    Ok(found)
}

fn search(symbols: &Symbols, names: &[&str]) -> Result<Vec<Found>, Error> {
    let mut found = vec![Found::default(); names.len()];
    symbols
        .tables()
        .search(&symbols.by_name(), names, &mut found)?;
    Ok(found)
}

#[test]
fn the_kernels_list_by_name_gives_the_same() {
    let many: Vec<_> = (0..2000).map(|i| format!("node{}", i * 7 % 1500)).collect();
    let many: Vec<_> = many
        .iter()
        .zip(0..)
        .map(|(name, i)| ('t', name.as_str(), 0xffff_ffff_8100_0000 + 16 * i))
        .collect();
    let symbols = Symbols::new(&TOKENS, &many);
    let names = [
        "", "node", "node0", "node1499", "node700", "node9", "nodf", "zz",
    ];
    let found = search(&symbols, &names).unwrap();
    assert_eq!(found, find(&symbols.tables(), &names).unwrap());
    assert_eq!(found.iter().filter(|found| found.count != 0).count(), 4);
}

#[test]
fn a_list_by_name_that_contradicts_the_tables_is_an_error() {
    let symbols = small();
    let error = |by_name: ByName<'_>| {
        let mut found = [Found::default()];
        symbols
            .tables()
            .search(&by_name, &["init_task"], &mut found)
            .unwrap_err()
    };
    let good = symbols.by_name();
    let (seqs, markers) = (&[][..], &[][..]);
    assert_eq!(
        error(ByName { seqs, ..good }),
        Error::Short("kallsyms_seqs_of_names")
    );
    assert_eq!(
        error(ByName { markers, ..good }),
        Error::Short("kallsyms_markers")
    );
    let markers = &[0xff; 4];
    assert!(matches!(error(ByName { markers, ..good }), Error::Name(_)));
}

#[test]
fn names_are_found_with_their_addresses() {
    let symbols = small();
    let names = ["_stext", "init_task", "node_states", "nothing", "twice"];
    let found = find(&symbols.tables(), &names).unwrap();
    let unique: Vec<_> = found.iter().map(Found::unique).collect();
    assert_eq!(
        unique,
        [
            Some(0xffff_ffff_8100_0000),
            Some(0xffff_ffff_8321_1140),
            Some(0xffff_ffff_8355_0100),
            None,
            None
        ]
    );
    assert_eq!(found[4].count, 2, "a name that is there twice is no answer");
}

#[test]
fn walk_shows_every_symbol() {
    let symbols = small();
    let mut seen = Vec::new();
    symbols
        .tables()
        .walk(|s| seen.push((s.letter, String::from_utf8_lossy(s.name).into_owned())))
        .unwrap();
    assert_eq!(seen.len(), 8);
    assert_eq!(seen[2], (b'd', "init_task".into()));
    assert_eq!(seen[7], (b'A', String::new()));
}

#[test]
fn names_with_more_than_127_tokens_have_two_length_bytes() {
    let long = "x".repeat(300);
    let symbols = Symbols::new(
        &[],
        &[
            ('t', &long, 0xffff_ffff_8100_0000),
            ('t', "after", 0xffff_ffff_8100_0008),
        ],
    );
    let names = ["after", &long];
    let found = find(&symbols.tables(), &names).unwrap();
    assert_eq!(found[0].unique(), Some(0xffff_ffff_8100_0008));
    assert_eq!(found[1].unique(), Some(0xffff_ffff_8100_0000));
    let too_long = "x".repeat(600);
    let symbols = Symbols::new(&[], &[('t', &too_long, 0)]);
    assert_eq!(symbols.tables().walk(|_| {}), Err(Error::NameLength(0)));
}

#[test]
fn tables_that_contradict_themselves_are_errors() {
    let symbols = small();
    let good = symbols.tables();
    let error = |tables: Tables<'_>| find(&tables, &["init_task"]).unwrap_err();
    assert_eq!(
        error(Tables {
            num_syms: 0,
            ..good
        }),
        Error::Empty
    );
    assert_eq!(
        error(Tables {
            num_syms: 9,
            ..good
        }),
        Error::Short("kallsyms_offsets")
    );
    assert_eq!(
        error(Tables {
            token_index: &good.token_index[..511],
            ..good
        }),
        Error::Short("kallsyms_token_index")
    );
    assert!(matches!(
        error(Tables {
            names: &good.names[..10],
            ..good
        }),
        Error::Name(_)
    ));
    assert!(matches!(
        error(Tables {
            token_table: &good.token_table[..10],
            ..good
        }),
        Error::Token(_)
    ));
}

proptest! {
    #[test]
    fn find_and_walk_agree(names in prop::collection::vec("[a-d_]{0,6}", 1..30), wanted in prop::collection::btree_set("[a-d_]{1,6}", 1..10)) {
        let symbols: Vec<_> = names.iter().enumerate().map(|(i, n)| ('t', n.as_str(), 0xffff_ffff_8100_0000 + i as u64)).collect();
        let symbols = Symbols::new(&["ta", "tab", "t_", "ab", "abc", "__", "dd"], &symbols);
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let found = find(&symbols.tables(), &wanted).unwrap();
        let mut counts = vec![0; wanted.len()];
        symbols.tables().walk(|s| {
            if let Some(i) = wanted.iter().position(|w| w.as_bytes() == s.name) {
                counts[i] += 1;
            }
        }).unwrap();
        prop_assert_eq!(found.iter().map(|f| f.count).collect::<Vec<_>>(), &counts[..]);
        let searched = search(&symbols, &wanted).unwrap();
        prop_assert_eq!(searched.iter().map(Found::unique).collect::<Vec<_>>(), found.iter().map(Found::unique).collect::<Vec<_>>());
        prop_assert!(searched.iter().zip(counts).all(|(f, count)| f.count == count.min(2)));
    }

    #[test]
    fn any_tables_give_symbols_or_an_error(
        names in prop::collection::vec(any::<u8>(), 0..200),
        token_table in prop::collection::vec(any::<u8>(), 0..200),
        token_index in prop::collection::vec(any::<u8>(), 500..520),
        num_syms in any::<u32>(),
    ) {
        let tables = Tables {
            num_syms, names: &names, token_table: &token_table, token_index: &token_index, offsets: &names, offsets_address: 0,
        };
        let by_name = ByName { markers: &token_table, seqs: &names };
        let _ = (find(&tables, &["a", "b"]), tables.walk(|_| {}), tables.search(&by_name, &["a", "b"], &mut [Found::default(); 2]));
    }
}
