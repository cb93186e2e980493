//! Makes a case smaller while it still shows the same difference.

use super::case::{Case, Changes, ColumnNo, Kind, Table, TableNo, Target, UserModel};
use super::draft_rows::repair;

/// Cases that are smaller by one step, the largest steps first.
pub fn smaller(case: &Case) -> Vec<Case> {
    let mut cases = Vec::new();
    for table in (0..case.tables.len()).rev() {
        cases.extend(without_table(case, table));
    }
    for table in 0..case.tables.len() {
        let mut less = case.clone();
        if !case.rows[table].is_empty() {
            less.rows[table].clear();
            repair(&mut less);
            cases.push(less);
        }
        for row in (0..case.rows[table].len()).rev() {
            let mut less = case.clone();
            less.rows[table].remove(row);
            repair(&mut less);
            cases.push(less);
        }
        parts(case, table, &mut cases);
        for column in (0..case.tables[table].columns.len()).rev() {
            cases.extend(without_column(case, table, column));
        }
    }
    let mut less = case.clone();
    if let UserModel::Rows { keep, .. } = &mut less.user
        && keep.take().is_some()
    {
        cases.push(less);
    }
    cases
}

/// Without one reference, object column, soft delete or other part of a table.
fn parts(case: &Case, table: TableNo, cases: &mut Vec<Case>) {
    let mut with = |change: &dyn Fn(&mut Table)| {
        let mut less = case.clone();
        change(&mut less.tables[table]);
        cases.push(less);
    };
    let of_table = &case.tables[table];
    for reference in 0..of_table.references.len() {
        with(&|table| drop(table.references.remove(reference)));
        if of_table.references[reference].foreign_key.is_some()
            && of_table.references[reference].rule.is_some()
        {
            with(&|table| table.references[reference].rule = None);
        }
    }
    for object in 0..of_table.objects.len() {
        with(&|table| drop(table.objects.remove(object)));
    }
    if of_table.deleted_at.is_some() || of_table.flag.is_some() || of_table.deleted_by.is_some() {
        with(&|table| (table.deleted_at, table.deleted_by, table.flag) = (None, None, None));
    }
    if of_table.is_api {
        with(&|table| table.is_api = false);
    }
    if of_table.is_partitioned {
        with(&|table| table.is_partitioned = false);
    }
    if of_table.schema != "public" {
        with(&|table| table.schema = "public".to_owned());
    }
    let plain = format!("t{table}");
    if of_table.name != plain {
        with(&|table| table.name.clone_from(&plain));
    }
}

/// None if something points at the table.
fn without_table(case: &Case, gone: TableNo) -> Option<Case> {
    if case.is_users(gone) {
        return None;
    }
    let mut less = case.clone();
    less.tables.remove(gone);
    less.rows.remove(gone);
    for table in &mut less.tables {
        for reference in &mut table.references {
            if let Target::Columns { table, .. } = &mut reference.target {
                match (*table).cmp(&gone) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return None,
                    std::cmp::Ordering::Greater => *table -= 1,
                }
            }
        }
    }
    Some(less)
}

/// None if the column is needed.
fn without_column(case: &Case, number: TableNo, gone: ColumnNo) -> Option<Case> {
    let table = &case.tables[number];
    let optional = [table.deleted_at, table.deleted_by, table.flag];
    let mut is_needed = table.key.contains(&gone)
        || optional.contains(&Some(gone))
        || table.objects.iter().any(|object| object.column == gone)
        || table
            .columns
            .iter()
            .any(|one| one.kind == Kind::Generated(gone));
    if let (true, Some((id, clerk_id))) = (case.is_users(number), case.user_columns()) {
        is_needed |= gone == id || gone == clerk_id;
    }
    for (child_no, child) in case.tables.iter().enumerate() {
        for reference in &child.references {
            let label = reference.discriminator.as_ref().map(|(label, _)| *label);
            is_needed |=
                child_no == number && (reference.columns.contains(&gone) || label == Some(gone));
            if let Target::Columns { table, columns } = &reference.target {
                is_needed |= *table == number && columns.contains(&gone);
            }
        }
    }
    if is_needed {
        return None;
    }
    let mut less = case.clone();
    for row in &mut less.rows[number] {
        row.remove(gone);
    }
    renumber(&mut less, number, gone);
    Some(less)
}

fn renumber(case: &mut Case, number: TableNo, gone: ColumnNo) {
    let down = |column: &mut ColumnNo| *column -= usize::from(*column > gone);
    let changes_down = |changes: &mut Changes| {
        changes.set = std::mem::take(&mut changes.set)
            .into_iter()
            .filter(|(column, _)| *column != gone)
            .map(|(column, value)| (column - usize::from(column > gone), value))
            .collect();
        for columns in [&mut changes.clear, &mut changes.leave] {
            columns.retain(|column| *column != gone);
            columns.iter_mut().for_each(down);
        }
    };
    if number == 0
        && let UserModel::Rows { id, clerk_id, keep } = &mut case.user
    {
        down(id);
        down(clerk_id);
        if let Some(keep) = keep {
            changes_down(&mut keep.changes);
        }
    }
    for child in &mut case.tables {
        for reference in &mut child.references {
            if let Target::Columns { table, columns } = &mut reference.target
                && *table == number
            {
                columns.iter_mut().for_each(down);
            }
        }
    }
    let table = &mut case.tables[number];
    table.columns.remove(gone);
    table.uniques.retain(|column| *column != gone);
    table
        .key
        .iter_mut()
        .chain(&mut table.uniques)
        .for_each(down);
    for column in [
        &mut table.deleted_at,
        &mut table.deleted_by,
        &mut table.flag,
    ] {
        column.iter_mut().for_each(down);
    }
    for column in &mut table.columns {
        if let Kind::Generated(of) = &mut column.kind {
            down(of);
        }
    }
    for object in &mut table.objects {
        down(&mut object.column);
    }
    for reference in &mut table.references {
        reference.columns.iter_mut().for_each(down);
        if let Some((label, _)) = &mut reference.discriminator {
            down(label);
        }
        if let Some(rule) = &mut reference.rule {
            changes_down(&mut rule.changes);
        }
    }
}
