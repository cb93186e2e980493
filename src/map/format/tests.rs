use super::*;

/// The faults of a text, each as `line key`.
fn faults(text: &str) -> Vec<String> {
    let InvalidMap(faults) = ErasureMap::parse(text).unwrap_err();
    faults
        .iter()
        .map(|fault| format!("{} {}", fault.line, fault.key))
        .collect()
}

/// A map that is valid but for the lines that follow from line 5 on.
fn with(lines: &str) -> String {
    format!("version = 1\n[bucket.main]\n[user]\ntable = \"users\"\n{lines}")
}

/// What the messages of a text's faults say.
fn message(text: &str) -> String {
    ErasureMap::parse(text).unwrap_err().to_string()
}

const PRISMA: &str = r#"
version = 1
[bucket.public]
name = "acme-public"
urls = ["https://cdn.acme.com/"]
[bucket.private]
name = "acme-private"
[user]
table = "User"
clerk_id = "clerkId"
soft_delete = { at = "deletedAt" }
on_erase = { do = "keep", why = "invoices point here", set = { email = "erased+{pk}@invalid", clerkId = "erased+{pk}" }, clear = ["name"] }
objects = [{ column = "avatarUrl", bucket = "public", within = "avatars/{user.id}/", on_keep = "erase" }]
[table.Project]
soft_delete = { at = "deletedAt", flag = "isDeleted" }
on_erase.ownerId = "delete"
[table.Asset]
api = true
on_erase = { projectId = { do = "delete", others = "too" }, uploaderId = "detach" }
objects = [
  { column = "attachments", json = "lax $[*].key", bucket = "private", within = "assets/" },
  { column = "thumbnailKeys", bucket = "public", within = "thumbs/" },
]
[table.Session]
on_erase.clerkUserId = { do = "delete", to = "user.clerk_id" }
[table.Invoice]
on_erase.userId = { do = "keep", hold = true, why = "tax law", set = { billingName = "erased", paid = true, cents = 0 }, clear = ["billingEmail"], leave = ["number"] }
[table.Note]
on_erase.record_id = [
  { do = "delete", to = "Asset.id", where = { record_type = "Asset" } },
  { do = "detach", to = "Project.id", where = { record_type = "Project" } },
]
[table.User]
on_erase.referredById = "detach"
[ignore]
"ApiKey.usageId" = "id of a counter, not of a person"
[accept]
"Asset: trigger audit" = "it only writes"
"#;

#[test]
fn the_built_in_map_is_valid() {
    let map = ErasureMap::built_in().unwrap();
    let types: Vec<&str> = map
        .all_tables()
        .map(|table| table.type_name.as_str())
        .collect();
    assert_eq!(types, ["user", "collection", "sample", "sample-image"]);
    assert_eq!(map.gate, GateLevel::Suspects);
    assert_eq!(
        (map.user.ids.as_str(), map.user.late),
        ("^user_", Late::Refuse)
    );
    assert_eq!(map.digest.len(), 64);
    let images = &map.tables[2];
    assert_eq!(images.objects[0].within, Within::Any);
    assert_eq!(
        (images.rules[0].columns.as_str(), images.rules[0].action),
        ("sample_id", Action::Delete)
    );
}

#[test]
fn a_map_of_an_application_is_read_to_its_last_key() {
    let map = ErasureMap::parse(PRISMA).unwrap();
    let root = map.user.table.as_ref().unwrap();
    assert_eq!(
        (root.section.as_str(), root.type_name.as_str()),
        ("User", "user")
    );
    assert_eq!(root.rules[0].columns, "referredById");
    assert_eq!(
        root.objects[0].within,
        Within::Prefix("avatars/{user.id}/".into())
    );
    assert!(root.objects[0].erased_of_kept);
    let kept = map.user.keep.as_ref().unwrap();
    assert!(kept.changes.changes("email") && kept.changes.changes("name"));
    assert!(!kept.changes.changes("bio"));
    let base = &map.bucket("public").unwrap().bases[0];
    assert_eq!(
        (base.origin.as_str(), base.path.as_str()),
        ("https://cdn.acme.com", "/")
    );
    let note = map
        .tables
        .iter()
        .find(|table| table.section == "Note")
        .unwrap();
    assert_eq!(note.rules.len(), 2);
    let target = Target::Column {
        section: "Project".into(),
        column: "id".into(),
    };
    assert_eq!(note.rules[1].target, Some(target));
    assert_eq!(
        note.rules[1].discriminator,
        [("record_type".into(), Constant::Text("Project".into()))]
    );
    let invoice = map
        .tables
        .iter()
        .find(|table| table.section == "Invoice")
        .unwrap();
    assert_eq!(invoice.rules[0].changes.set.len(), 3);
    assert_eq!(invoice.rules[0].changes.set[1].1, Constant::Switch(true));
    assert_eq!(map.accepted[0].key, "Asset: trigger audit");
}

#[test]
fn every_fault_is_told_at_once_with_its_key_and_line() {
    let text = "version = 2\ngate = \"strict\"\ncolour = \"blue\"\n[user]\ntable = \"users\"\nlate = \"never\"\n\
                [table.a]\non_erase.user_id = \"erase\"\nobjects = [\n  { column = \"k\", bucket = \"main\" },\n]\n";
    assert_eq!(
        faults(text),
        [
            "1 version",
            "2 gate",
            "3 colour",
            "6 user.late",
            "8 table.a.on_erase.user_id",
            "10 table.a.objects[0]"
        ]
    );
}

#[test]
fn a_text_that_is_not_toml_is_one_fault_with_its_line() {
    assert_eq!(faults("version = 1\n[user\n"), ["2 "]);
    assert_eq!(faults("version = 1\nversion = 1\n[user]\n"), ["2 "]);
    let date = with("[table.a]\non_erase.u = 1979-05-27\n");
    assert_eq!(
        message(&date),
        "line 6: A value is a date. Give it as a string."
    );
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    let text = with(
        "mail = 1\nsoft_delete = { on = \"x\" }\n[table.a]\ncolumns = 1\non_erase.u = { do = \"delete\", when = \"x\" }\n\
         objects = [{ column = \"k\", bucket = \"main\", within = \"any\", size = 1 }]\n[bucket.b]\nregion = \"x\"\n",
    );
    assert_eq!(
        faults(&text),
        [
            "5 user.mail",
            "6 user.soft_delete.on",
            "8 table.a.columns",
            "9 table.a.on_erase.u.when",
            "10 table.a.objects[0].size",
            "12 bucket.b.region",
        ]
    );
    assert!(message(&text).contains("Known here: at, by, flag."));
}

#[test]
fn a_draft_with_decisions_left_is_refused_wherever_they_stand() {
    let text = with(
        "on_erase = \"TODO\"\n[table.a]\non_erase.u = { do = \"delete\", others = \"TODO\" }\n[ignore]\n\"x\" = \"TODO\"\n",
    );
    assert_eq!(
        faults(&text),
        [
            "5 user.on_erase",
            "7 table.a.on_erase.u.others",
            "9 ignore.x"
        ]
    );
    assert!(message(&text).contains("is not decided yet"));
}

#[test]
fn the_parts_of_a_rule_must_go_together() {
    for (rule, problem) in [
        ("\"keep\"", "without a reason"),
        ("{ do = \"keep\" }", "without a reason"),
        ("{ why = \"x\" }", "has no `do`"),
        (
            "{ do = \"detach\", hold = true }",
            "holds rows that it does not keep",
        ),
        (
            "{ do = \"delete\", clear = [\"x\"] }",
            "changes columns of a row that is deleted",
        ),
        ("{ do = \"detach\", leave = [\"x\"] }", "leaves columns"),
        (
            "{ do = \"detach\", others = \"too\" }",
            "consents to a deletion",
        ),
        (
            "{ do = \"delete\", others = \"all\" }",
            "means nothing here",
        ),
        (
            "{ do = \"delete\", where = { t = \"x\" } }",
            "`where` without `to`",
        ),
        ("{ do = \"delete\", to = \"user\" }", "points at"),
        (
            "{ do = \"delete\", to = \"Nowhere.id\" }",
            "there is no section",
        ),
        (
            "{ do = \"keep\", why = \"x\", set = { a = 1 }, clear = [\"a\"] }",
            "names \"a\" twice",
        ),
        (
            "{ do = \"keep\", why = \"x\", set = { a = [1] } }",
            "is a list",
        ),
        ("[]", "is an empty list"),
        (
            "[{ do = \"delete\", to = \"user.id\" }, { do = \"detach\" }]",
            "which rows it is for",
        ),
    ] {
        let text = with(&format!("[table.a]\non_erase.u = {rule}\n"));
        let message = message(&text);
        assert!(message.contains(problem), "{rule}: {message}");
        assert!(
            message.starts_with("line 6, table.a.on_erase.u"),
            "{message}"
        );
    }
}

#[test]
fn nothing_may_delete_a_held_row() {
    let held = "held = { do = \"keep\", hold = true, why = \"tax law\" }";
    let text = with(&format!(
        "[table.a]\non_erase = {{ {held}, user_id = \"delete\" }}\n"
    ));
    assert_eq!(faults(&text), ["6 table.a.on_erase.user_id"]);
    let text = with(&format!("[table.a]\napi = true\non_erase = {{ {held} }}\n"));
    assert_eq!(faults(&text), ["5 table.a"]);
}

#[test]
fn two_tables_have_neither_one_type_nor_one_section() {
    assert_eq!(
        faults(&with("[table.cat]\n[table.cats]\n")),
        ["6 table.cats"]
    );
    assert!(message(&with("[table.User]\n")).contains("type \"user\", as the user's table has"));
    assert!(ErasureMap::parse(&with("[table.cat]\n[table.cats]\ntype = \"cats\"\n")).is_ok());
    assert!(
        message(&with(
            "[table.a]\n[table.b]\nname = { schema = \"public\", name = \"a\" }\n"
        ))
        .contains("same table")
    );
}

#[test]
fn a_table_of_another_schema_and_one_with_a_dot_can_be_named() {
    let text = with(
        "[table.\"analytics.events\"]\n[table.dotted]\nname = { schema = \"a.b\", name = \"c.d\" }\n",
    );
    let map = ErasureMap::parse(&text).unwrap();
    assert_eq!(
        map.tables[0].name,
        TableName {
            schema: "analytics".into(),
            name: "events".into()
        }
    );
    assert_eq!(
        map.tables[1].name,
        TableName {
            schema: "a.b".into(),
            name: "c.d".into()
        }
    );
    assert_eq!(map.tables[1].type_name, "c-d");
    assert_eq!(faults(&with("[table.\"a.b.c\"]\n")), ["5 table.a.b.c"]);
    let text = "version = 1\nschema = \"app\"\n[user]\ntable = \"users\"\n";
    let map = ErasureMap::parse(text).unwrap();
    assert_eq!(map.user.table.unwrap().name.schema, "app");
}

#[test]
fn a_prefix_says_what_may_be_deleted() {
    let within = |within: &str| {
        with(&format!(
            "objects = [{{ column = \"k\", bucket = \"main\", within = \"{within}\" }}]\n"
        ))
    };
    for good in ["any", "avatars/", "u/{user.id}/", "u/{user.clerk_id}/a"] {
        assert!(ErasureMap::parse(&within(good)).is_ok(), "{good}");
    }
    for bad in ["/", "u/{user.email}/", "u/{user.id}", " "] {
        assert_eq!(
            ErasureMap::parse(&within(bad)).unwrap_err().0[0].line,
            5,
            "{bad}"
        );
    }
}

#[test]
fn the_users_table_has_its_parts_in_one_place() {
    let text = with("[table.users]\napi = true\non_erase.referred_by = \"detach\"\n");
    assert!(message(&text).contains("Write everything but `on_erase` into [user]"));
    let without = "version = 1\n[user]\n";
    assert!(message(without).contains("no rule points at the user"));
    assert!(message("version = 1\n[user]\nid = \"x\"\n").contains("a row without a table"));
    let virtual_user = "version = 1\n[user]\n[table.chats]\non_erase.user_id = { do = \"delete\", to = \"user.clerk_id\" }\n";
    assert!(
        ErasureMap::parse(virtual_user)
            .unwrap()
            .user
            .table
            .is_none()
    );
}

#[test]
fn a_bucket_must_be_there() {
    let text = with("objects = [{ column = \"k\", bucket = \"other\", within = \"any\" }]\n");
    assert!(message(&text).contains("names the bucket \"other\", which is not there"));
    assert!(message(&with("[bucket.b]\nurls = [\"cdn\"]\n")).contains("is no base URL"));
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let text = with(&"# x\n".repeat(300_000));
    assert!(message(&text).contains("has more than"));
}
