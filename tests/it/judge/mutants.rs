//! Whether the judge would notice a mistake of the generator: a rule of the generated functions is taken away, and some
//! random erasure must differ.

use std::time::Instant;

use futures::future::join_all;
use sqlx::{AssertSqlSafe, PgConnection};

use super::draft::random_case;
use super::erasure::Erasures;
use super::lane::Court as _;

/// So many erasures are tried for each rule.
const TRIES: u64 = 300;
/// Rules that are tried at the same time.
const AT_ONCE: usize = 4;

/// A rule that is taken away.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// What an erasure no longer does.
    without: &'static str,
    /// The functions that have the rule, as a regular expression of PostgreSQL.
    functions: &'static str,
    rule: &'static str,
    replacement: &'static str,
}

const MUTANTS: [Mutant; 15] = [
    Mutant {
        without: "finding the rows that hang on a row",
        functions: "^choose$",
        rule: r"join (\S+) p on p\.tableoid = d\.part and p\.ctid = d\.place",
        replacement: r"\& and false",
    },
    Mutant {
        without: "finding the rows that name the user",
        functions: "^choose$",
        rule: r"where (c\.\S+ \S+ (lethe\.id|lethe\.clerk_id))",
        replacement: r"where false and \1",
    },
    Mutant {
        without: "the values of `where`",
        functions: "^(choose|remove_rows)$",
        rule: r" and c\.\S+ operator\(pg_catalog\.=\) '[^']*'[^ \n]*",
        replacement: "",
    },
    Mutant {
        without: "changing rows that stay",
        functions: "^remove_rows$",
        rule: r"from hit d where",
        replacement: "from hit d where false and",
    },
    Mutant {
        without: "making the user's row anonymous",
        functions: "^remove_rows$",
        rule: r"from unnest\(lethe\.p0, lethe\.c0\) d \(part, place\)\n        where c\.tableoid",
        replacement: "from unnest(lethe.p0, lethe.c0) d (part, place) where false and c.tableoid",
    },
    Mutant {
        without: "removing rows",
        functions: "^remove_rows$",
        rule: r"delete from (\S+|.[^\n]*?) c using",
        replacement: r"delete from \1 c using (select where false) never,",
    },
    Mutant {
        without: "leaving rows whose objects were not answered for",
        functions: "^remove_rows$",
        rule: r"not exists \(select from \(select c\.\*\) t",
        replacement: r"true or \&",
    },
    Mutant {
        without: "leaving rows on which something hangs",
        functions: "^remove_(rows|named)$",
        rule: r"\n          and not exists \(select from (?!\(select c)[^\n]* x where [^\n]*",
        replacement: "",
    },
    Mutant {
        without: "leaving what rows of a circle hang on that stay",
        functions: "^remove_rows$",
        rule: r"from stays s cross join lateral",
        replacement: r"from (select * from stays where false) s cross join lateral",
    },
    Mutant {
        without: "protecting the objects of others",
        functions: "^protected_keys$",
        rule: r"exists \(select from",
        replacement: r"false and \&",
    },
    Mutant {
        without: "deleting objects that only rows name which go",
        functions: "^protected_keys$",
        rule: r"case when lethe_map\.goes_\d+\([^)]*\) then",
        replacement: "case when false then",
    },
    Mutant {
        without: "`within`",
        functions: "^key_ref$",
        rule: r"when key_ref\.is_outside",
        replacement: "when false",
    },
    Mutant {
        without: "reading keys out of URLs",
        functions: "^object_key$",
        rule: r"lower\(origin\) = origins\[i\]",
        replacement: r"false and \&",
    },
    Mutant {
        without: "deleting the objects of rows that stay",
        functions: "^keys_of$",
        rule: r"limit keys_of\.max_rows",
        replacement: "limit 0",
    },
    Mutant {
        without: "the objects of rows that go",
        functions: "^keys_of$",
        rule: r"where d\.kind = \d+ and not k\.is_foreign",
        replacement: r"\& and false",
    },
];

impl Mutant {
    /// Takes the rule out of the functions that were just installed.
    pub async fn install(&self, connection: &mut PgConnection) {
        let mutated: Vec<String> = sqlx::query_scalar(
            "select regexp_replace(pg_get_functiondef(p.oid), $2, $3, 'g')
             from pg_proc p join pg_namespace n on n.oid = p.pronamespace
             where n.nspname = 'lethe_map' and p.proname ~ $1 and p.prosrc ~ $2",
        )
        .bind(self.functions)
        .bind(self.rule)
        .bind(self.replacement)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        for function in mutated {
            let made = sqlx::raw_sql(AssertSqlSafe(function.clone()))
                .execute(&mut *connection)
                .await;
            made.unwrap_or_else(|error| panic!("without {}: {error}\n{function}", self.without));
        }
    }

    /// How many erasures it took until one differed, and how; `None` if none did.
    async fn notice(self) -> Option<(u64, String)> {
        let mut court = Erasures::open().await.with(self);
        for seed in 1..=TRIES {
            if let Err(difference) = court.compare(&random_case(seed)).await {
                return Some((seed, difference.what));
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_taken_away_is_noticed() {
    let began = Instant::now();
    let mut unnoticed = Vec::new();
    for some in MUTANTS.chunks(AT_ONCE) {
        let noticed = join_all(some.iter().map(|mutant| mutant.notice())).await;
        for (mutant, noticed) in some.iter().zip(noticed) {
            match noticed {
                Some((seed, what)) => {
                    println!("without {}: seed {seed}, {what}", mutant.without);
                }
                None => unnoticed.push(mutant.without),
            }
        }
    }
    println!(
        "{} rules in {:.1} s",
        MUTANTS.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(
        unnoticed.is_empty(),
        "nobody notices it without {unnoticed:?}"
    );
}
